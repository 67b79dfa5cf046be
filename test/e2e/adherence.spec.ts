import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { addDays, localDate } from '../../src/time/legal-days.js';
import {
  accepted,
  type Api,
  claim,
  dispense,
  issue,
  type Issued,
  LISINOPRIL,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';

const DAY = 86_400_000;
const ASPIRIN = { ...LISINOPRIL, code: '212033', display: 'aspirin 325 MG Oral Tablet' };

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const ago = (milliseconds: number) => new Date(api.clock.now() - milliseconds).toISOString();
const say = ({ path }: Issued, body: object, who = 'patient', key?: string) =>
  api.as(who).post(`${path}/doses`, body, key);
const correct = ({ path }: Issued, doseId: string, body: object, who = 'patient') =>
  api.as(who).post(`${path}/doses/${doseId}/correct`, body);
const dosesOf = async ({ path }: Issued, who = 'patient', query = '') =>
  accepted(await api.as(who).get(`${path}/doses${query}`)).body;

describe('doses of a prescription', () => {
  it('are taken, skipped and corrected, beside the day on which the supply runs out', async () => {
    const rx = await issue(api);
    expect(accepted(await say(rx, { outcome: 'taken' })).body.runOut).toBeNull();
    await dispense(api, rx, await claim(api, rx));

    const taken = accepted(await say(rx, { outcome: 'taken', quantity: tablets('1'), at: ago(1000) }));
    expect(taken.status).toBe(201);
    expect(taken.body.dose).toEqual({
      doseId: expect.any(String),
      outcome: 'taken',
      at: ago(1000),
      quantity: tablets('1'),
    });
    const today = localDate(api.clock.now(), 'America/New_York');
    expect(taken.body.runOut).toEqual({ date: addDays(today, 30), daysLeft: 30 });
    expect(verifyReceipt(taken.body.receipt, api.vkey)).toMatchObject({ ok: true, entry: { chain: rx.id } });

    const skipped = accepted(await say(rx, { outcome: 'skipped', reason: 'forgot' }));
    expect(skipped.body.dose).toMatchObject({ outcome: 'skipped', at: ago(0), quantity: null });

    const { doseId } = skipped.body.dose;
    const body = { outcome: 'taken', at: ago(500), quantity: tablets('2'), reason: 'wrong-outcome' };
    const corrected = accepted(await correct(rx, doseId, body));
    expect(corrected.status).toBe(200);
    expect(corrected.body.dose).toEqual({ doseId, outcome: 'taken', at: ago(500), quantity: tablets('2') });
    const withdrawn = { outcome: 'entered-in-error', at: ago(500), reason: 'duplicate' };
    expect(accepted(await correct(rx, doseId, withdrawn)).body.dose).toEqual({
      doseId,
      outcome: 'entered-in-error',
      at: ago(500),
      quantity: null,
    });

    const { items } = await dosesOf(rx);
    expect(items.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['entered-in-error', 'taken', 'taken']);
    const events = await api.reader.events(rx.id);
    expect(events.filter(({ type }) => type.startsWith('dose.')).map(({ type }) => type)).toEqual([
      'dose.taken/1',
      'dose.taken/1',
      'dose.skipped/1',
      'dose.corrected/1',
      'dose.corrected/1',
    ]);
  });

  it('are paged, last said first', async () => {
    const rx = await issue(api);
    const ids = Array.from({ length: 5 }, () => randomUUID());
    for (const doseId of ids) accepted(await say(rx, { outcome: 'taken', doseId }));
    const seen: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const page: { items: { doseId: string }[]; next: string | null } = await dosesOf(
        rx,
        'patient',
        `?limit=2${next && `&after=${next}`}`,
      );
      seen.push(...page.items.map(({ doseId }) => doseId));
      next = page.next;
    }
    expect(seen).toEqual(ids.toReversed());
  });

  it('are recorded once under one key', async () => {
    const rx = await issue(api);
    const key = randomUUID();
    const [first, again] = [
      accepted(await say(rx, { outcome: 'taken' }, 'patient', key)),
      accepted(await say(rx, { outcome: 'taken' }, 'patient', key)),
    ];
    expect(again.body.dose).toEqual(first.body.dose);
    expect((await dosesOf(rx)).items).toHaveLength(1);
    expect(refusalOf(await say(rx, { outcome: 'skipped', reason: 'forgot' }, 'patient', key))).toBe(
      '422 idempotency.key-reused',
    );
  });

  it('are seen by the practice and the pharmacy that held it, by nobody else', async () => {
    const rx = await issue(api);
    accepted(await say(rx, { outcome: 'taken' }));
    expect(refusalOf(await api.as('pharmacist').get(`${rx.path}/doses`))).toBe('404 ledger.chain-unknown');
    await claim(api, rx);
    for (const who of ['patient', 'prescriber', 'pharmacist']) expect((await dosesOf(rx, who)).items).toHaveLength(1);
    for (const who of ['patient2', 'prescriber2', 'pharmacist2']) {
      expect(refusalOf(await api.as(who).get(`${rx.path}/doses`))).toBe('404 ledger.chain-unknown');
    }
    for (const who of ['auditor', 'admin']) {
      expect(refusalOf(await api.as(who).get(`${rx.path}/doses`))).toBe('403 access.forbidden');
    }
  });

  it.each<[string, () => object, string]>([
    ['in the future', () => ({ outcome: 'taken', at: ago(-DAY) }), '422 dose.in-future'],
    ['nothing taken', () => ({ outcome: 'taken', quantity: tablets('0') }), '422 quantity.invalid'],
    ['skipped without a reason', () => ({ outcome: 'skipped' }), '400 request.invalid'],
    ['skipped for a reason of their own', () => ({ outcome: 'skipped', reason: 'because' }), '400 request.invalid'],
    [
      'skipped, and yet an amount',
      () => ({ outcome: 'skipped', reason: 'forgot', quantity: tablets('1') }),
      '400 request.invalid',
    ],
    ['neither', () => ({ outcome: 'maybe' }), '400 request.invalid'],
    ['a moment that is none', () => ({ outcome: 'taken', at: 'noon' }), '400 request.invalid'],
  ])('refused: %s', async (_, body, then) => {
    expect(refusalOf(await say(await issue(api), body()))).toBe(then);
  });

  it('refused: an id that is there, a dose that is not, and who is not the patient', async () => {
    const rx = await issue(api);
    const doseId = randomUUID();
    accepted(await say(rx, { outcome: 'taken', doseId }));
    expect(refusalOf(await say(rx, { outcome: 'taken', doseId }))).toBe('409 dose.duplicate');
    const body = { outcome: 'skipped', at: ago(0), reason: 'wrong-outcome' };
    expect(refusalOf(await correct(rx, randomUUID(), body))).toBe('404 dose.unknown');
    expect(refusalOf(await correct(rx, doseId, { ...body, at: ago(-DAY) }))).toBe('422 dose.in-future');
    expect(refusalOf(await correct(rx, doseId, { ...body, reason: undefined }))).toBe('400 request.invalid');
    expect(refusalOf(await say(rx, { outcome: 'taken' }, 'patient2'))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await correct(rx, doseId, body, 'patient2'))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await say(rx, { outcome: 'taken' }, 'pharmacist'))).toBe('403 access.forbidden');
    const nowhere = `/api/prescriptions/${randomUUID()}/doses`;
    expect(refusalOf(await api.as('patient').post(nowhere, { outcome: 'taken' }))).toBe('404 ledger.chain-unknown');
  });
});

const sayOf = (body: object, who = 'patient') => api.as(who).post('/api/doses', { medication: ASPIRIN, ...body });

describe('doses without a prescription', () => {
  it('stand on a supply of the patient’s own, which they may go on with and correct', async () => {
    const first = accepted(await sayOf({ outcome: 'taken', quantity: tablets('1') })).body;
    expect(first.supply).toMatchObject({
      patient: api.patients.patient,
      pharmacy: null,
      matchedTo: null,
      dispenses: [],
      doses: [{ ...first.dose, medication: ASPIRIN }],
    });
    const supply = first.supply.id;
    const second = accepted(await sayOf({ supply, outcome: 'skipped', reason: 'felt-well' })).body;
    expect(second.supply.doses).toHaveLength(2);
    const path = `/api/supplies/${supply}/doses/${second.dose.doseId}/correct`;
    const body = { outcome: 'taken', at: ago(0), reason: 'wrong-outcome' };
    expect(accepted(await api.as('patient').post(path, body)).body.dose.outcome).toBe('taken');
    const listed = accepted(await api.as('patient').get('/api/supplies')).body;
    expect(listed.items.map(({ id }: { id: string }) => id)).toContain(supply);
    expect(refusalOf(await api.as('patient2').post(path, body))).toBe('404 ledger.chain-unknown');
  });

  it('refused: another patient’s supply, no medicine, and who is no patient', async () => {
    const supply = accepted(await sayOf({ outcome: 'taken' })).body.supply.id;
    expect(refusalOf(await sayOf({ supply, outcome: 'taken' }, 'patient2'))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await api.as('patient2').get(`/api/supplies/${supply}`))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await sayOf({ supply: randomUUID(), outcome: 'taken' }))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await sayOf({ medication: undefined, outcome: 'taken' }))).toBe('400 request.invalid');
    expect(refusalOf(await sayOf({ outcome: 'taken' }, 'prescriber'))).toBe('403 access.forbidden');
  });

  it('the supply can be matched to a prescription by its patient', async () => {
    const rx = await issue(api);
    const supply = accepted(await sayOf({ outcome: 'taken' })).body.supply.id;
    const matched = accepted(await api.as('patient').post(`/api/supplies/${supply}/match`, { prescription: rx.id }));
    expect(matched.body.supply.matchedTo).toBe(rx.id);
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
