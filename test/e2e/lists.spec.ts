/** Every list takes the same parameters, refuses all others, and answers `{items, next}`. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accepted, type Api, claim, dispense, issue, LISINOPRIL, startApi, tablets } from '../support/api.js';
import { type ApiDocument, operationsOf } from '../support/documented.js';

let api: Api;
let prescription: string;

beforeAll(async () => {
  api = await startApi();
  const { patient } = api.patients;
  const first = await issue(api);
  prescription = first.path;
  await issue(api);
  await claim(api, await issue(api));
  await dispense(api, first, await claim(api, first));
  for (let n = 0; n < 3; n++) {
    const at = new Date(api.clock.now() - n * 60_000).toISOString();
    accepted(await api.as('patient').post(`${first.path}/doses`, { outcome: 'taken', at }));
    const report = {
      patient,
      medication: LISINOPRIL,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: at,
      reason: 'outage',
    };
    accepted(await api.as('pharmacist').post('/api/dispense-reports', report));
    const hold = { reason: 'litigation' };
    accepted(await api.as('admin').post(`/api/patients/${patient}/holds`, hold));
    accepted(await api.as('pharmacist2').post(`/api/patients/${patient}/break-glass`, { reason: `accident ${n}` }));
  }
});
afterAll(() => api.close());

/** Path, who asks, how many items there are at least, and a filter without which there are none. */
const LISTS: readonly (readonly [path: () => string, who: string, items: number, filter?: string])[] = [
  [() => '/api/prescriptions', 'prescriber', 3],
  [() => '/api/prescriptions', 'pharmacist', 2],
  [() => '/api/prescriptions', 'patient', 3],
  [() => `${prescription}/doses`, 'patient', 3],
  [() => '/api/supplies', 'pharmacist', 3],
  [() => '/api/drugs', 'prescriber', 2, 'search=lisinopril'],
  [() => '/api/discrepancies', 'pharmacist', 0],
  [() => `/api/patients/${api.patients.patient}/accesses`, 'patient', 3],
  [() => `/api/patients/${api.patients.patient}/holds`, 'admin', 3],
  [() => '/api/organisations', 'patient', 4],
  [() => '/api/clients', 'admin', 0],
  [() => '/api/actor-keys', 'prescriber', 0],
  [() => '/api/disclosures', 'auditor', 0],
  [() => '/log/checkpoints', 'auditor', 1],
  [() => '/log/chain', 'auditor', 0],
  [() => '/log/rotations', 'auditor', 0],
  [() => '/log/continued', 'auditor', 0],
];

describe.each(LISTS.map(([path, who, least, filter = '']) => [path, who, least, filter] as const))(
  '%s',
  (pathOf, who, least, filter) => {
    const get = async (query: string) => api.as(who).get(`${pathOf()}${query}&${filter}`.replace(/&$/, ''));

    it(`as ${who}: pages of one hold what one page holds`, async () => {
      const { items } = accepted(await get('?limit=200')).body;
      expect(items.length).toBeGreaterThanOrEqual(least);
      const found: unknown[] = [];
      for (let after = ''; ;) {
        const { body } = accepted(await get(`?limit=1${after}`));
        expect(Object.keys(body).toSorted()).toEqual(['items', 'next']);
        expect(body.items.length).toBeLessThanOrEqual(1);
        found.push(...body.items);
        if (body.next === null) break;
        after = `&after=${encodeURIComponent(body.next)}`;
      }
      expect(found).toEqual(items);
    });

    it.each([
      ['limit=0', 'must be a whole number from 1 to 200'],
      ['limit=201', 'must be a whole number from 1 to 200'],
      ['limit=1000', 'must be a whole number from 1 to 200'],
      ['limit=1e2', 'must be a whole number from 1 to 200'],
      ['limit=', 'must be a whole number from 1 to 200'],
      ['limit=1&limit=2', 'must be a whole number from 1 to 200'],
      ['after=%20', ''],
      [`after=${'x'.repeat(300)}`, ''],
      ['before=1', 'before'],
      [`page=${randomUUID()}`, 'page'],
    ])(`as ${who}: ?%s is refused, and the bound is named`, async (query, named) => {
      const { status, body } = await get(`?${query}`);
      expect([status, body.code]).toEqual([400, 'request.invalid']);
      expect(JSON.stringify(body)).toContain(named);
    });
  },
);

describe('a query', () => {
  it('is refused wherever none is declared', async () => {
    const document = (await api.request.get('/api/openapi.json')).body as ApiDocument;
    const without = operationsOf(document).filter(({ operation }) =>
      (operation.parameters ?? []).every((parameter) => parameter.in !== 'query'),
    );
    expect(without.length).toBeGreaterThan(40);
    const told = await Promise.all(
      without.map(async ({ name, path, operation }) => {
        const [role = 'administrator'] = operation['x-roles'] ?? [];
        const caller = api.as(role === 'administrator' ? 'admin' : role);
        const address = `${path.replaceAll(/\{\w+\}/g, randomUUID())}?bogus=1`;
        const { status, body } = await (name.startsWith('GET ') ? caller.get(address) : caller.post(address, {}));
        return [name, status, body.code, JSON.stringify(body).includes('bogus')];
      }),
    );
    expect(told).toEqual(without.map(({ name }) => [name, 400, 'request.invalid', true]));
    for (const address of ['/health/live?', '/api/docs?bogus=1', '/api/openapi.json?bogus=1'])
      expect((await api.request.get(address)).status).toBe(200);
  });

  it('is looked at only once the caller may call the route', async () => {
    expect((await api.request.get('/api/self?bogus=1')).status).toBe(401);
    expect((await api.as('auditor').get(`${prescription}?bogus=1`)).status).toBe(403);
  });
});

describe('what is read again', () => {
  it('within the hour is one record, however often a list or page asks', async () => {
    const { patient2: patient } = api.patients;
    const rx = await issue(api, { patient });
    const size = async () => (await api.reader.events(patient)).length;
    const seen = async () =>
      accepted(await api.as('patient2').get(`/api/patients/${patient}/accesses`)).body.items as {
        action: string;
        chains: string[];
      }[];
    accepted(await api.as('prescriber').get(rx.path));
    const [record] = await seen();
    expect(record).toMatchObject({ action: 'prescription.read', chains: [rx.id] });
    const before = await size();
    for (let n = 0; n < 3; n++) {
      accepted(await api.as('prescriber').get(rx.path));
      accepted(await api.as('prescriber').get(`/api/prescriptions?patient=${patient}`));
      api.clock.advance(60_000);
      await seen();
    }
    expect(await size()).toBe(before);
    accepted(await api.as('prescriber').get((await issue(api, { patient })).path));
    expect(await seen()).toHaveLength(2);
    api.clock.advance(60 * 60_000);
    accepted(await api.as('prescriber').get(rx.path));
    expect(await seen()).toHaveLength(3);
  });
});
