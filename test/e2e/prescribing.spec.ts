import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { addDays, localDate } from '../../src/time/legal-days.js';
import { allDrugs } from '../../src/prescription/drugs/formulary.js';
import { prescriptionModel } from '../../src/prescription/chain-models.js';
import {
  accepted,
  type Answer,
  type Api,
  claim,
  issue,
  LISINOPRIL,
  newOrder,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';

const DAY = 86_400_000;
const ZONE = 'America/New_York';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const post = (path: string, body: object, who = 'prescriber', key?: string) => api.as(who).post(path, body, key);
const issueOf = (over: object, who?: string, key?: string) => post('/api/prescriptions', newOrder(api, over), who, key);
const today = () => localDate(api.clock.now(), ZONE);
const statusOf = ({ body }: Answer) => [
  body.prescription.status,
  ...body.prescription.issues.map((one: { status: string }) => one.status),
];

/** RxNorm coding of a drug of the formulary in that schedule. */
function scheduled(schedule: 'II' | 'III' | 'IV' | 'V'): typeof LISINOPRIL {
  const drug = allDrugs().find((one) => one.schedule === schedule);
  if (!drug) throw new Error(`no drug in schedule ${schedule}`);
  return { ...LISINOPRIL, code: drug.rxcui, display: drug.name };
}

/** A new order number. */
const fresh = () => `N-${randomUUID().slice(0, 8)}`;

describe('a prescription is issued', () => {
  it('with all its fields, which come back as they were said', async () => {
    const said = {
      number: fresh(),
      patient: api.patients.patient,
      medication: LISINOPRIL,
      directions: 'one in the morning — with water',
      quantity: { value: '0.5', unit: 'mL' },
      daysSupply: 28,
      refills: 3,
      substitutionAllowed: false,
      writtenOn: today(),
      earliestFillOn: addDays(today(), 2),
      nominatedPharmacy: api.orgs.pharmacy,
      note: 'large print label',
    };
    const answer = accepted(await post('/api/prescriptions', said));
    expect(answer.status).toBe(201);
    const self = accepted(await api.as('prescriber').get('/api/self')).body;
    expect(answer.body.prescription).toEqual({
      ...said,
      id: expect.any(String),
      issuer: api.orgs.practice,
      prescriber: self.id,
      status: 'active',
      historical: false,
      schedule: null,
      validUntil: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/),
      zone: ZONE,
      recordedAt: new Date(api.clock.now()).toISOString(),
      cancel: null,
      refillHolder: null,
      issues: [0, 1, 2, 3].map((number) => ({
        number,
        status: 'future',
        earliestFillOn: number === 0 ? said.earliestFillOn : null,
        holder: null,
        claimedAt: null,
        dispensed: { value: '0', unit: 'mL' },
      })),
      dispenses: [],
      runOut: null,
    });
    expect(Date.parse(answer.body.prescription.validUntil) - Date.parse(said.writtenOn)).toBeGreaterThan(364 * DAY);
    expect(answer.body.token).toMatch(/^[\w-]{22}$/);
    const { id } = answer.body.prescription;
    for (const who of ['prescriber', 'patient', 'pharmacist']) {
      expect(accepted(await api.as(who).get(`/api/prescriptions/${id}`)).body).toEqual(answer.body.prescription);
    }
    expect(verifyReceipt(answer.body.receipt, api.vkey)).toMatchObject({ ok: true, entry: { chain: id, seq: 0 } });
  });

  it('with a number and a date of its own when none are given', async () => {
    const { prescription } = accepted(await issueOf({})).body;
    expect(prescription.number).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(prescription.writtenOn).toBe(today());
    expect(prescription.issues).toMatchObject([{ number: 0, status: 'ready' }]);
  });

  it('of a drug that the formulary does not know, by code and display', async () => {
    const medication = { system: 'urn:oid:1.2.3', code: 'X-9', display: 'Sample 5 MG Oral Tablet' };
    const { prescription } = accepted(await issueOf({ medication, refills: 11 })).body;
    expect(prescription).toMatchObject({ medication, schedule: null, refills: 11 });
    const withoutSystem = { code: '999999999', display: 'Sample 7 MG Oral Tablet' };
    expect(accepted(await issueOf({ medication: withoutSystem })).body.prescription.medication).toEqual({
      system: LISINOPRIL.system,
      ...withoutSystem,
    });
  });

  it('of a controlled drug for six months, with five refills at most', async () => {
    const { prescription } = accepted(await issueOf({ medication: scheduled('IV'), refills: 5 })).body;
    expect(prescription).toMatchObject({ schedule: 'IV', refills: 5 });
    const days = (Date.parse(prescription.validUntil) - Date.parse(prescription.writtenOn)) / DAY;
    expect(days).toBeGreaterThan(178);
    expect(days).toBeLessThan(186);
    expect(accepted(await issueOf({ medication: scheduled('II') })).body.prescription.schedule).toBe('II');
  });

  it('for later: nobody can claim it before its first day', async () => {
    const rx = await issue(api, { earliestFillOn: addDays(today(), 1) });
    expect(refusalOf(await post(`${rx.path}/claim`, { token: rx.token }, 'pharmacist'))).toBe(
      '409 prescription.not-ready',
    );
    const gone = accepted(await post(`${rx.path}/cancel`, { reason: 'other' }));
    expect(statusOf(gone)).toEqual(['cancelled', 'cancelled']);
  });

  it('by each practice under its own numbers', async () => {
    const number = fresh();
    const mine = await issue(api, { number });
    const theirs = await issue(api, { number }, 'prescriber2');
    expect(theirs.id).not.toBe(mine.id);
    expect(refusalOf(await issueOf({ number }))).toBe('409 prescription.number-taken');
    expect(refusalOf(await issueOf({ number, patient: api.patients.patient2 }))).toBe('409 prescription.number-taken');
    const view = await api.reader.chain(mine.id, prescriptionModel);
    expect(view).toMatchObject({ subject: api.patients.patient, seq: 0 });
  });
});

describe('an issue is refused', () => {
  it.each([
    ['medication', { medication: null }],
    ['directions', { directions: null }],
    ['directions', { directions: ' \n ' }],
    ['quantity', { quantity: null }],
    ['daysSupply', { daysSupply: null }],
  ])('without %s, which is named', async (field, over) => {
    const answer = await issueOf(over);
    expect(refusalOf(answer)).toBe('422 prescription.incomplete');
    expect(answer.body.missing).toEqual([field]);
  });

  it('and all missing fields are named at once', async () => {
    const answer = await post('/api/prescriptions', { patient: api.patients.patient });
    expect(refusalOf(answer)).toBe('422 prescription.incomplete');
    expect(answer.body.missing).toEqual(['medication', 'directions', 'quantity', 'daysSupply']);
  });

  it.each([-1, 1])('when it is dated %i days from today', async (days) => {
    const answer = await issueOf({ writtenOn: addDays(today(), days) });
    expect(refusalOf(answer)).toBe('422 prescription.not-dated-today');
    expect(answer.body).toMatchObject({ today: today(), zone: ZONE });
  });

  const NOBODY = 'd2719d1c-5e7c-4f57-8f0c-6d4f3c2b1a90';
  it.each<[string, () => Promise<Answer>, string, object?]>([
    [
      'a refill of C-II',
      () => issueOf({ medication: scheduled('II'), refills: 1 }),
      '422 prescription.too-many-refills',
      { schedule: 'II', limit: 0 },
    ],
    [
      'six refills of C-IV',
      () => issueOf({ medication: scheduled('IV'), refills: 6 }),
      '422 prescription.too-many-refills',
      { schedule: 'IV', limit: 5 },
    ],
    [
      'first day after the last',
      () => issueOf({ earliestFillOn: addDays(today(), 400) }),
      '422 prescription.never-fillable',
    ],
    ['nominated: nobody', () => issueOf({ nominatedPharmacy: NOBODY }), '422 prescription.pharmacy-unknown'],
    [
      'nominated: a practice',
      () => issueOf({ nominatedPharmacy: api.orgs.practice }),
      '422 prescription.pharmacy-unknown',
    ],
    ['nothing', () => issueOf({ quantity: tablets('0') }), '422 quantity.invalid'],
    ['minus one', () => issueOf({ quantity: tablets('-1') }), '400 request.invalid'],
    ['a day that is none', () => issueOf({ writtenOn: '2026-02-30' }), '400 request.invalid'],
    ['a field that there is not', () => issueOf({ sig: 'x' }), '400 request.invalid'],
    ['a patient who is not there', () => issueOf({ patient: NOBODY }), '404 ledger.chain-unknown'],
    ['a pharmacist', () => issueOf({}, 'pharmacist'), '403 access.forbidden'],
    ['a patient', () => issueOf({}, 'patient'), '403 access.forbidden'],
    ['an auditor', () => issueOf({}, 'auditor'), '403 access.forbidden'],
    ['the administrator', () => issueOf({}, 'admin'), '403 access.forbidden'],
    ['nobody', () => api.request.post('/api/prescriptions').send(newOrder(api)), '401 access.unauthenticated'],
  ])('%s', async (_, attempt, expected, facts = {}) => {
    const answer = await attempt();
    expect(refusalOf(answer)).toBe(expected);
    expect(answer.body).toMatchObject(facts);
  });

  it('a prescription whose id stands for a patient', async () => {
    const rx = await issue(api);
    expect(refusalOf(await issueOf({ patient: rx.id }))).toBe('404 ledger.chain-unknown');
  });
});

describe('the token', () => {
  it('is read by the practice and the patient, and by nobody else', async () => {
    const rx = await issue(api, { nominatedPharmacy: api.orgs.pharmacy });
    await claim(api, rx);
    const ask = (who: string) => api.as(who).get(`${rx.path}/token`);
    for (const who of ['prescriber', 'patient']) expect(accepted(await ask(who)).body).toEqual({ token: rx.token });
    const asked = ['prescriber2', 'patient2', 'pharmacist', 'pharmacist2', 'auditor', 'admin'];
    const answers = await Promise.all(asked.map(async (who) => `${who} ${refusalOf(await ask(who))}`));
    expect(answers).toEqual([
      'prescriber2 404 ledger.chain-unknown',
      'patient2 404 ledger.chain-unknown',
      'pharmacist 403 access.forbidden',
      'pharmacist2 403 access.forbidden',
      'auditor 403 access.forbidden',
      'admin 403 access.forbidden',
    ]);
  });
});

describe('answers that were lost', () => {
  it('the same request with the same key gives the same events and token', async () => {
    const key = randomUUID();
    const first = accepted(await issueOf({ refills: 2 }, 'prescriber', key));
    const again = accepted(await issueOf({ refills: 2 }, 'prescriber', key));
    expect(again.status).toBe(201);
    expect(again.body.prescription).toEqual(first.body.prescription);
    expect(again.body.token).toBe(first.body.token);
    expect([again.body.receipt.index, again.body.receipt.entry]).toEqual([
      first.body.receipt.index,
      first.body.receipt.entry,
    ]);
    const { id } = first.body.prescription;
    expect(await api.reader.events(id)).toHaveLength(1);
    await claim(api, { id, number: '', path: `/api/prescriptions/${id}`, token: first.body.token });
    const after = accepted(await issueOf({ refills: 2 }, 'prescriber', key));
    expect(after.body.prescription).toEqual(first.body.prescription);
  });

  it('another request with the key is refused; somebody else’s key is another key', async () => {
    const key = randomUUID();
    const first = accepted(await issueOf({}, 'prescriber', key));
    expect(refusalOf(await issueOf({ refills: 1 }, 'prescriber', key))).toBe('422 idempotency.key-reused');
    const path = `/api/prescriptions/${first.body.prescription.id}/cancel`;
    expect(refusalOf(await post(path, { reason: 'other' }, 'prescriber', key))).toBe('422 idempotency.key-reused');
    const theirs = accepted(await issueOf({}, 'prescriber2', key));
    expect(theirs.body.prescription.id).not.toBe(first.body.prescription.id);
  });

  it('a refusal is not remembered', async () => {
    const [key, number] = [randomUUID(), fresh()];
    const rx = await issue(api, { number });
    expect(refusalOf(await issueOf({ number }, 'prescriber', key))).toBe('409 prescription.number-taken');
    accepted(await issueOf({ number: fresh() }, 'prescriber', key));
    expect(rx.number).toBe(number);
  });

  it('twins at the same time: one prescription', async () => {
    const key = randomUUID();
    const twins = await Promise.all(Array.from({ length: 8 }, () => issueOf({}, 'prescriber', key)));
    const made = twins.filter(({ status }) => status === 201);
    const others = twins.filter(({ status }) => status !== 201).map(refusalOf);
    expect(new Set(made.map(({ body }) => body.receipt.index)).size).toBe(1);
    expect(others.filter((code) => code !== '409 idempotency.in-progress')).toEqual([]);
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
