import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../support/terminal.js';
import { accepted, type Api, newOrder, startApi, tablets } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';

const mine = temporaryFolder();
let api: Api;
let auditor = '';
/** Log indexes. */
let order = 0;
let dispense = 0;
let dose = 0;

beforeAll(async () => {
  mkdirSync(mine.path, { recursive: true });
  api = await startApi();
  auditor = accepted(await api.as('auditor').get('/api/self')).body.id;
  const issued = accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api))).body;
  order = issued.receipt.index;
  const path = `/api/prescriptions/${issued.prescription.id}`;
  const { secret } = accepted(await api.as('pharmacist').post(`${path}/claim`, { token: issued.token })).body.claim;
  const given = { secret, quantity: tablets('30'), daysSupply: 30 };
  dispense = accepted(await api.as('pharmacist').post(`${path}/dispenses`, given)).body.receipt.index;
  const taken = { outcome: 'taken', at: new Date(api.clock.now() - 60_000).toISOString() };
  dose = accepted(await api.as('patient').post(`${path}/doses`, taken)).body.receipt.index;
});
afterAll(async () => {
  await api.close();
  mine.remove();
});

const wish = (members: string[], more: object = {}) => ({ members, reason: 'claim 4711', ...more });
const give = (who: string, index: number, members: string[], more: object = { recipient: 'Example Insurance' }) =>
  api.as(who).post(`/api/entries/${index}/disclosures`, wish(members, more));
async function proofVerify(name: string, content: string, ...options: string[]) {
  const file = join(mine.path, name);
  writeFileSync(file, content);
  const { code, out } = await runCommand(['audit', 'proof', file, '--vkey', api.vkey, ...options]);
  return { code, out };
}

describe('a disclosure', () => {
  it('stands alone: checked offline it shows what was chosen, and says what it does not', async () => {
    const { disclosure } = accepted(await give('patient', dispense, ['type', 'occurredAt'])).body;
    const text = JSON.stringify(disclosure);
    for (const withheld of ['salt', 'payload', 'pharmacist', 'quantity', 'medication'])
      expect(text).not.toContain(withheld);
    const { code, out } = await proofVerify('given.json', text, '--json');
    expect(code).toBe(0);
    const [result] = JSON.parse(out).results;
    expect(result).toMatchObject({
      kind: 'disclosure',
      ok: true,
      state: 'committed',
      index: dispense,
      disclosed: { type: 'dispense.recorded/1', occurredAt: expect.any(String) },
      withheld: ['actor', 'data', 'derived', 'kind', 'recordedAt'],
    });
    const words = await proofVerify('given.json', text);
    expect(words.out).toMatch(/disclosed\n.*\n.*occurredAt.*\n.*dispense\.recorded\/1/);
    expect(words.out).toContain('not disclosed: actor, data, derived, kind, recordedAt');
    const other = disclosure.members.kind.digest;
    const forged = text.replace(other, disclosure.members.data.digest);
    const refused = await proofVerify('forged.json', forged);
    expect(refused).toMatchObject({ code: 1, out: expect.stringContaining('DOES NOT HOLD (members)') });
  });

  it('is in the saved answer beside the receipt of its own record', async () => {
    const answer = accepted(await give('patient', order, ['data', 'type']));
    const { code, out } = await proofVerify('answer.json', answer.text, '--json');
    expect(code).toBe(0);
    const [given, recorded] = JSON.parse(out).results;
    expect(given.disclosed.data.medication.code).toBe('314076');
    // Who gave what to whom, and none of the values.
    expect(recorded.payload.type).toBe('access.disclosed/1');
    expect(recorded.payload.data).toEqual({
      chain: given.entry.chain,
      index: order,
      members: ['data', 'type'],
      reason: 'claim 4711',
      recipient: 'Example Insurance',
      auditor: null,
    });
  });

  it('is shown to the patient, whoever gave it', async () => {
    accepted(await give('prescriber', order, ['type'], { recipient: 'State board' }));
    const { items } = accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`)).body;
    expect(items[0]).toMatchObject({
      type: 'disclosure',
      reader: { role: 'prescriber', org: api.orgs.practice },
      entry: { index: order, members: ['type'], recipient: 'State board' },
      reason: 'claim 4711',
    });
  });

  it('is given once under one key', async () => {
    const request = [`/api/entries/${order}/disclosures`, wish(['kind'], { recipient: 'X' }), 'once'] as const;
    const first = accepted(await api.as('patient').post(...request)).body;
    const again = accepted(await api.as('patient').post(...request)).body;
    expect(again.receipt.index).toBe(first.receipt.index);
    expect(again.disclosure.members).toEqual(first.disclosure.members);
  });
});

describe('who may give', () => {
  const absent = [404, 'ledger.chain-unknown'];
  it.each<[string, () => number, unknown[]]>([
    ['auditor', () => order, [403, 'access.forbidden']],
    ['patient', () => order, [201]],
    ['patient', () => dispense, [201]],
    ['prescriber', () => order, [201]],
    ['pharmacist', () => dispense, [201]],
    // What others wrote is not theirs to give, though they may see it.
    ['prescriber', () => dispense, absent],
    ['pharmacist', () => order, absent],
    ['pharmacist', () => dose, absent],
    ['prescriber2', () => order, absent],
    ['pharmacist2', () => dispense, absent],
    ['patient2', () => order, absent],
    ['admin', () => order, [403, 'access.forbidden']],
    // The record of accesses itself, and what is not there.
    ['patient', () => dose + 1, absent],
    ['patient', () => 999_999, absent],
  ])('%s (%#)', async (who, index, [status, code]) => {
    const given = await give(who, index(), ['type']);
    expect([given.status, given.body.code]).toEqual([status, code]);
  });

  it.each<[string, object, number, string]>([
    ['no recipient', wish(['type']), 422, 'disclosure.recipient-missing'],
    ['a signature that is not there', wish(['signature'], { recipient: 'X' }), 422, 'disclosure.member-unknown'],
    ['no member', wish([], { recipient: 'X' }), 400, 'request.invalid'],
    ['a member twice', wish(['type', 'type'], { recipient: 'X' }), 400, 'request.invalid'],
    ['a part of a member', wish(['data.drug'], { recipient: 'X' }), 400, 'request.invalid'],
    ['no reason', { members: ['type'], recipient: 'X' }, 400, 'request.invalid'],
  ])('not with %s', async (_, body, status, code) => {
    const answer = await api.as('patient').post(`/api/entries/${order}/disclosures`, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });
});

const listed = async (query = '') => accepted(await api.as('auditor').get(`/api/disclosures${query}`)).body;

describe('an auditor', () => {
  it('is somebody', async () => {
    for (const id of [api.patients.patient, '0b5a8f1e-1111-4111-8111-111111111111']) {
      const answer = await give('patient', order, ['type'], { auditor: id });
      expect([answer.status, answer.body.code]).toEqual([422, 'disclosure.auditor-unknown']);
    }
    const both = await give('patient', order, ['type'], { auditor, recipient: 'X' });
    expect([both.status, both.body.code]).toEqual([422, 'disclosure.recipient-missing']);
  });

  it('sees of payloads only what was disclosed to them, and the patient sees that they read it', async () => {
    expect(await listed()).toEqual({ items: [], next: null });
    const given = accepted(await give('patient', dispense, ['data', 'type'], { auditor })).body;
    const { items } = await listed();
    expect(items).toEqual([
      {
        id: given.receipt.index,
        at: expect.any(String),
        by: { id: expect.any(String), role: 'patient', org: null },
        index: dispense,
        members: ['data', 'type'],
        reason: 'claim 4711',
      },
    ]);
    const answer = accepted(await api.as('auditor').get(`/api/disclosures/${items[0].id}`));
    expect(answer.body).toMatchObject({ disclosed: items[0], disclosure: { members: given.disclosure.members } });
    const { code, out } = await proofVerify('taken.json', answer.text, '--json');
    expect(code).toBe(0);
    const [result] = JSON.parse(out).results;
    expect(result.disclosed.data.quantity.value).toBe('30');
    expect(result.withheld).toEqual(['actor', 'derived', 'kind', 'occurredAt', 'recordedAt']);
    const accesses = accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`)).body.items;
    expect(accesses.slice(0, 2)).toMatchObject([
      { type: 'read', reader: { id: auditor, role: 'auditor' }, action: 'disclosure.read' },
      { type: 'disclosure', entry: { index: dispense, members: ['data', 'type'], recipient: null, auditor } },
    ]);
  });

  it('pages through them, newest first, and is refused what is no page', async () => {
    for (const index of [order, dispense]) accepted(await give('patient', index, ['kind'], { auditor }));
    const { items } = await listed();
    expect(items.map(({ id }: { id: number }) => id)).toEqual(
      items.map(({ id }: { id: number }) => id).toSorted((a: number, b: number) => b - a),
    );
    const paged: unknown[] = [];
    for (let next: string | null = ''; next !== null;) {
      const page: { items: unknown[]; next: string | null } = await listed(`?limit=1${next && `&after=${next}`}`);
      expect(page.items.length).toBeLessThanOrEqual(1);
      paged.push(...page.items);
      ({ next } = page);
    }
    expect(paged).toEqual(items);
    for (const query of ['limit=0', 'limit=201', 'after=x', 'after=1.2', 'page=2']) {
      const answer = await api.as('auditor').get(`/api/disclosures?${query}`);
      expect([answer.status, answer.body.code]).toEqual([400, 'request.invalid']);
    }
  });

  it('finds nothing that is addressed to nobody or to somebody else', async () => {
    const outside = accepted(await give('patient', order, ['type'])).body.receipt.index;
    for (const id of [outside, order, 999_999]) {
      const answer = await api.as('auditor').get(`/api/disclosures/${id}`);
      expect([answer.status, answer.body.code]).toEqual([404, 'ledger.chain-unknown']);
    }
    const [{ id }] = (await listed()).items;
    for (const who of ['patient', 'prescriber', 'pharmacist', 'admin']) {
      for (const path of ['', `/${id}`]) {
        const answer = await api.as(who).get(`/api/disclosures${path}`);
        expect([answer.status, answer.body.code]).toEqual([403, 'access.forbidden']);
      }
    }
  });
});

it('the ledger with all of it verifies', async () => {
  expect(await api.verify()).toMatchObject({ ok: true, payloadsChecked: true });
});
