import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IMPLIED } from '../../src/http/openapi/operations.js';
import { TAGS } from '../../src/http/openapi/tags.js';
import { rolesFor, isAction } from '../../src/identity/guard/policy.js';
import { REFUSALS } from '../../src/refusals/refusals.js';
import { type Api, startApi } from '../support/api.js';
import { type ApiDocument, codesOf, type NamedOperation, operationsOf } from '../support/documented.js';
import { until } from '../support/wait.js';

let api: Api;
let document: ApiDocument;
let operations: NamedOperation[];
beforeAll(async () => {
  api = await startApi();
  document = (await api.request.get('/api/openapi.json')).body as ApiDocument;
  operations = operationsOf(document);
});
afterAll(() => api.close());

const namesOf = (all: readonly NamedOperation[]): string[] => all.map(({ name }) => name).toSorted();

/** Everything in the document, with the names that lead to it. */
function* nodes(node: unknown, path: readonly string[] = []): Generator<[readonly string[], Record<string, unknown>]> {
  if (typeof node !== 'object' || node === null) return;
  yield [path, node as Record<string, unknown>];
  for (const [name, within] of Object.entries(node)) yield* nodes(within, [...path, name]);
}

describe('the API document', () => {
  it('is OpenAPI 3.1', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
  });

  it('is where the address of the service leads', async () => {
    const { status, headers } = await api.request.get('/');
    expect({ status, to: headers['location'] }).toEqual({ status: 302, to: '/api/docs' });
  });

  it('lists the routes', () => {
    expect(operations.length).toBeGreaterThan(50);
    expect(namesOf(operations)).toEqual(
      expect.arrayContaining([
        'POST /api/prescriptions',
        'GET /api/prescriptions/{id}',
        'POST /api/cancellations',
        'GET /api/drugs',
        'POST /api/patients/search',
        'GET /api/patients/{id}',
        'GET /api/patients/{id}/accesses',
        'POST /api/auth/sign-in',
        'GET /log/checkpoint',
        'GET /health/ready',
      ]),
    );
  });

  it('describes every operation: an id and a summary of its own, who may call it, what it answers', () => {
    for (const texts of [operations.map(({ operation }) => operation.operationId), operations.map(({ name }) => name)])
      expect(new Set(texts).size).toBe(operations.length);
    for (const { name, path, operation } of operations) {
      const { summary, description, parameters = [], responses, security, 'x-action': action } = operation;
      expect({ name, summary }).toEqual({ name, summary: expect.stringMatching(/^[A-Z].*[^.]$/) });
      expect({ name, description }).toEqual({ name, description: expect.stringContaining('**Who may:**') });
      expect(security !== undefined).toBe(action !== 'public');
      if (!isAction(action)) throw new Error(`${name} has no action`);
      expect({ name, roles: operation['x-roles'] ?? null }).toEqual({ name, roles: rolesFor(action) });
      const inPath = parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name);
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      expect({ name, inPath: inPath.toSorted() }).toEqual({ name, inPath: wanted.map(String).toSorted() });
      const done = Object.entries(responses).filter(([status]) => status.startsWith('2'));
      expect({ name, done: done.length }).toEqual({ name, done: 1 });
      for (const [, response] of done) expect(response).toMatchObject({ description: expect.stringMatching(/./) });
    }
  });

  it('groups the operations as people need them', () => {
    expect(document.tags).toEqual(Object.entries(TAGS).map(([name, description]) => ({ name, description })));
    for (const { name, operation } of operations)
      expect({ name, tags: operation.tags }).toEqual({ name, tags: [expect.toSatisfy((tag) => tag in TAGS)] });
    expect(new Set(operations.flatMap(({ operation }) => operation.tags ?? []))).toEqual(new Set(Object.keys(TAGS)));
  });

  it('has a schema and an example of every body, and asks for none where none is taken', () => {
    const posts = operations.filter(({ name }) => name.startsWith('POST '));
    const without = posts.filter(({ operation }) => !operation.requestBody);
    expect(namesOf(without)).toEqual(['POST /api/accounts/{id}/disable', 'POST /api/jobs/failed/{id}/retry']);
    for (const { name, operation } of posts.filter((one) => !without.includes(one))) {
      for (const [type, media] of Object.entries(operation.requestBody?.content ?? {})) {
        const { $ref, ...rest } = media.schema ?? {};
        expect({ name, type, $ref, rest, example: media.example }).toEqual({
          name,
          type,
          $ref: expect.stringMatching(/^#\/components\/schemas\/[A-Z]\w+$/),
          rest: {},
          example: expect.any(Object),
        });
      }
    }
    const reads = operations.filter(({ name }) => name.startsWith('GET '));
    expect(reads.filter(({ operation }) => operation.requestBody)).toEqual([]);
  });

  it('takes an Idempotency-Key with everything that is recorded', () => {
    const without = operations.filter(
      ({ name, operation }) =>
        name.startsWith('POST ') && !operation.parameters?.some((parameter) => parameter.name === 'Idempotency-Key'),
    );
    expect(namesOf(without)).toEqual([
      'POST /api/auth/sign-in',
      'POST /api/auth/token',
      'POST /api/jobs/failed/{id}/retry',
      'POST /api/patients/search',
      'POST /api/prescriptions/{id}/lookup',
    ]);
  });

  it('says what a prescription must have', () => {
    const { required, properties } = document.components.schemas['NewPrescription'] ?? {};
    expect(required).toEqual(['patient', 'medication', 'directions', 'quantity', 'daysSupply']);
    expect(properties).toMatchObject({
      quantity: { $ref: '#/components/schemas/Quantity' },
      directions: { type: 'string', maxLength: 2000 },
    });
  });

  it('names its shapes, and describes none twice', () => {
    const { schemas } = document.components;
    expect(Object.keys(schemas)).toEqual(
      expect.arrayContaining(['Prescription', 'Quantity', 'Receipt', 'Problem', 'Signature', 'Patient', 'Discrepancy']),
    );
    expect(Object.keys(schemas).filter((name) => !/^[A-Z][A-Za-z]+$/.test(name))).toEqual([]);
    const seen = new Map<string, string>();
    for (const [path, { properties }] of nodes(document)) {
      // A refusal's codes are those of its operation.
      if (!properties || path.includes('allOf')) continue;
      const text = JSON.stringify(properties);
      expect({ twice: path.join('/'), as: seen.get(text) ?? null }).toEqual({ twice: path.join('/'), as: null });
      seen.set(text, path.join('/'));
    }
    const used = new Set<unknown>();
    for (const [, { $ref }] of nodes(document)) if (typeof $ref === 'string') used.add($ref.split('/').at(-1));
    expect(Object.keys(schemas).filter((name) => !used.has(name))).toEqual([]);
  });

  it('has examples of addresses that a young log answers', async () => {
    const shown = operations.flatMap(({ name, path, operation: { parameters = [] } }) => {
      const examples = Object.fromEntries(
        parameters.map((one) => [one.name, one.schema && Reflect.get(one.schema, 'example')]),
      );
      return name.startsWith('GET /log/tile/') ? [path.replace('{path}', String(examples['path']))] : [];
    });
    expect(shown).toHaveLength(2);
    for (const path of shown) {
      const published = async () => (await api.as('auditor').get(path)).status;
      await until(async () => (await published()) === 200, { what: `${path} is there` });
    }
  });

  it('says what /metrics refuses to those who are not on this machine', () => {
    const metrics = operations.find(({ name }) => name === 'GET /metrics');
    expect(Object.keys(metrics?.operation.responses ?? {})).toEqual(expect.arrayContaining(['200', '401', '404']));
  });

  it('has no example of a key whose private half is published', () => {
    expect(JSON.stringify(document)).not.toContain('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo');
  });

  it('answers with a named shape wherever it answers JSON', () => {
    const anonymous = operations.filter(({ operation }) =>
      Object.values(operation.responses).some(
        (response) => 'content' in response && response.content?.['application/json']?.schema?.['properties'],
      ),
    );
    expect(namesOf(anonymous)).toEqual([]);
  });

  it('refers only to what it holds', () => {
    for (const [path, { $ref }] of nodes(document)) {
      if (typeof $ref !== 'string') continue;
      const target = $ref
        .split('/')
        .slice(1)
        .reduce<unknown>((at, part) => at && Reflect.get(at, part), document);
      expect({ path, $ref, target }).toEqual({ path, $ref, target: expect.any(Object) });
    }
  });

  it('names every refusal that there is, with its status, for an operation or for all', () => {
    const general = IMPLIED.flatMap(({ codes }) => codes);
    const named = new Set(operations.flatMap(({ operation }) => codesOf(operation)));
    const known = Object.entries(REFUSALS).map(([code, { status }]) => `${status} ${code}`);
    expect([...named].filter((one) => !known.includes(one))).toEqual([]);
    const unnamed = known.filter((one) => !named.has(one) && !general.some((code) => one.endsWith(` ${code}`)));
    expect(unnamed).toEqual([]);
    for (const code of general) expect(document.info.description).toContain(`\`${code}\``);
  });
});
