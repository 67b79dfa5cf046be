import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, startApi } from '../support/api.js';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

describe('OpenAPI', () => {
  interface Operation {
    operationId: string;
    summary?: string;
    parameters?: { name: string; in: string; required?: boolean; schema?: object }[];
    requestBody?: { required?: boolean; content: Record<string, { schema?: object }> };
    responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
    security?: Record<string, string[]>[];
    'x-action': string;
  }
  interface Document {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, object>; securitySchemes: Record<string, { type: string }> };
  }
  let document: Document;
  let operations: { name: string; path: string; operation: Operation }[];
  beforeAll(async () => {
    document = (await api.request.get('/api/openapi.json')).body as Document;
    operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        path,
        operation,
      })),
    );
  });

  it('lists every route of prescribing and patients', () => {
    expect(operations.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'POST /api/prescriptions',
        'GET /api/prescriptions',
        'GET /api/prescriptions/{id}',
        'GET /api/prescriptions/{id}/token',
        'POST /api/prescriptions/{id}/cancel',
        'POST /api/cancellations',
        'GET /api/drugs',
        'POST /api/patients',
        'POST /api/patients/search',
        'GET /api/patients/{id}',
        'POST /api/patients/{id}/break-glass',
        'GET /api/patients/{id}/accesses',
        'POST /api/auth/sign-in',
        'GET /health/live',
        'GET /health/ready',
      ]),
    );
  });

  it('each POST has the schema of its body, but for those that take none', () => {
    const without = operations.filter(
      ({ name, operation }) => name.startsWith('POST ') && !operation.requestBody?.content['application/json']?.schema,
    );
    expect(without.map(({ name }) => name).toSorted()).toEqual([
      'POST /api/accounts/{id}/disable',
      'POST /api/jobs/failed/{id}/retry',
    ]);
    for (const { operation } of operations.filter(({ name }) => name.startsWith('GET ')))
      expect(operation.requestBody).toBeUndefined();
  });

  it('is sound: OpenAPI 3.1 with ids of their own, parameters that the paths have, references that lead somewhere', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: expect.any(String), version: expect.any(String) });
    const operationIds = operations.map(({ operation }) => operation.operationId);
    expect(new Set(operationIds).size).toBe(operationIds.length);
    for (const { name, path, operation } of operations) {
      const { parameters = [], responses, security = [] } = operation;
      const inPath = parameters.filter((parameter) => parameter.in === 'path');
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      expect({ name, in: inPath.map((one) => one.name).toSorted() }).toEqual({
        name,
        in: wanted.map(String).toSorted(),
      });
      expect(inPath.every(({ required }) => required === true)).toBe(true);
      expect(parameters.every(({ schema }) => schema !== undefined)).toBe(true);
      const named = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      expect(new Set(named).size).toBe(named.length);
      expect({ name, codes: Object.keys(responses) }).toEqual({
        name,
        codes: expect.arrayContaining([expect.stringMatching(/^20\d$/)]),
      });
      for (const [code, { description, content = {} }] of Object.entries(responses)) {
        expect(code).toMatch(/^([1-5]\d\d|[1-5]XX|default)$/);
        expect(description).toEqual(expect.any(String));
        for (const { schema } of Object.values(content)) expect(schema).toBeTypeOf('object');
      }
      for (const scheme of security.flatMap((one) => Object.keys(one)))
        expect(document.components.securitySchemes).toHaveProperty(scheme);
      expect(security.length > 0).toBe(operation['x-action'] !== 'public');
    }
  });

  it('refers only to what it holds, and speaks JSON Schema 2020-12', () => {
    const seen: unknown[] = [document];
    for (let node = seen.pop(); node !== undefined; node = seen.pop()) {
      if (typeof node !== 'object' || node === null) continue;
      for (const [member, value] of Object.entries(node)) {
        if (member === '$ref' && typeof value === 'string') {
          const target = value
            .split('/')
            .slice(1)
            .reduce<unknown>((at, part) => at && Reflect.get(at, part), document);
          expect({ $ref: value, target }).toEqual({ $ref: value, target: expect.any(Object) });
        }
        // Gone since 3.1.
        if (member === 'nullable' || member === 'exclusiveMinimum') expect(value).not.toBeTypeOf('boolean');
        seen.push(value);
      }
    }
    expect(Object.keys(document.components.schemas)).not.toEqual([]);
  });
});
