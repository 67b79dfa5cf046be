import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { accepted, type Answer, type Api, claim, issue, refusalOf, startApi } from '../support/api.js';
import { until } from '../support/wait.js';

const HOUR = 3_600_000;
const MRN = 'https://clinic.example/mrn';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

/** A made-up person whom nobody has enrolled yet. */
const person = (over: object = {}) => ({
  name: 'Ada Sample',
  birthDate: '1970-02-28',
  identifiers: [{ system: MRN, value: randomUUID() }],
  address: '1 Test Road, Springfield',
  ...over,
});
const enrol = (body: object, who = 'prescriber', key?: string) => api.as(who).post('/api/patients', body, key);
const search = (identifier: object, who = 'prescriber') => api.as(who).post('/api/patients/search', identifier);
const read = (id: string, who: string) => api.as(who).get(`/api/patients/${id}`);
const idOf = (answer: Answer): string => accepted(answer).body.patient.id;

const open = (id: string, who: string, reason = 'unconscious', key?: string) =>
  api.as(who).post(`/api/patients/${id}/break-glass`, { reason }, key);
const accesses = async (): Promise<
  { type: string; action: string | null; reader: { id: string }; chains: string[] }[]
> => accepted(await api.as('patient2').get(`/api/patients/${api.patients.patient2}/accesses`)).body.items;
const self = async (who: string) => accepted(await api.as(who).get('/api/self')).body;

/** A patient with a prescription of the first practice. */
async function enrolledWithOrder() {
  const patient = idOf(await enrol(person()));
  return { patient, rx: await issue(api, { patient }) };
}

describe('a patient is enrolled', () => {
  it('by a prescriber or the administrator, who get what they said', async () => {
    for (const who of ['prescriber', 'admin']) {
      const said = person();
      const answer = accepted(await enrol(said, who));
      expect(answer.status).toBe(201);
      const { id } = answer.body.patient;
      expect(answer.body.patient).toEqual({ ...said, id, enrolledAt: new Date(api.clock.now()).toISOString() });
      expect(verifyReceipt(answer.body.receipt, api.vkey)).toMatchObject({ ok: true, entry: { chain: id, seq: 0 } });
    }
  });

  it('once under each identifier', async () => {
    const [first, second] = [
      { system: MRN, value: randomUUID() },
      { system: 'https://state.example/id', value: randomUUID() },
    ];
    const id = idOf(await enrol(person({ identifiers: [first, second] })));
    const free = { system: MRN, value: randomUUID() };
    for (const identifiers of [[first], [second], [second, first], [free, second], [free, first]]) {
      const answer = await enrol(person({ identifiers }), 'admin');
      expect({ identifiers, refusal: refusalOf(answer) }).toEqual({
        identifiers,
        refusal: '409 patient.already-enrolled',
      });
      expect(JSON.stringify(answer.body)).not.toContain(id);
    }
    expect(accepted(await search(free)).body).toEqual({ patient: null });
    expect(idOf(await search(second))).toBe(id);
    // The same value in another numbering is somebody else.
    expect(idOf(await enrol(person({ identifiers: [{ system: 'urn:other', value: first.value }] })))).not.toBe(id);
  });

  it('once, when the request is repeated with its key', async () => {
    const [said, key] = [
      person({ identifiers: [1, 2].map(() => ({ system: MRN, value: randomUUID() })) }),
      randomUUID(),
    ];
    const first = accepted(await enrol(said, 'prescriber', key));
    const again = accepted(await enrol(said, 'prescriber', key));
    expect(again.body.patient).toEqual(first.body.patient);
    expect(again.body.receipt.index).toBe(first.body.receipt.index);
    expect(refusalOf(await enrol({ ...said, address: null }, 'prescriber', key))).toBe('422 idempotency.key-reused');
  });

  it('once, when two do it at the same time, whichever identifier they begin with', async () => {
    for (let race = 0; race < 10; race++) {
      const identifiers = [1, 2].map(() => ({ system: MRN, value: randomUUID() }));
      const said = [person({ identifiers }), person({ identifiers: identifiers.toReversed() })];
      const answers = await Promise.all(said.map((body) => enrol(body)));
      expect(answers.map(refusalOf).toSorted()).toEqual(['201', '409 patient.already-enrolled']);
    }
  });

  it.each<[string, object, string]>([
    ['a name', { name: ' ' }, '400 request.invalid'],
    ['an identifier', { identifiers: [] }, '400 request.invalid'],
    ['a birth date that is a date', { birthDate: '1970-13-01' }, '400 request.invalid'],
    ['nothing that is not asked for', { source: {} }, '400 request.invalid'],
  ])('with %s', async (_, over, expected) => {
    expect(refusalOf(await enrol(person(over)))).toBe(expected);
  });

  it('by nobody else', async () => {
    for (const who of ['pharmacist', 'patient', 'auditor'])
      expect(refusalOf(await enrol(person(), who))).toBe('403 access.forbidden');
  });
});

describe('a patient is found', () => {
  it('by a whole identifier', async () => {
    const value = randomUUID();
    const id = idOf(await enrol(person({ identifiers: [{ system: MRN, value }] })));
    for (const who of ['prescriber2', 'pharmacist', 'admin']) {
      expect(accepted(await search({ system: MRN, value }, who)).body).toEqual({
        patient: { id, name: 'Ada Sample', birthDate: '1970-02-28' },
      });
    }
    for (const identifier of [
      { system: MRN, value: value.slice(0, -1) },
      { system: `${MRN}/`, value },
      { system: MRN, value: '%' },
    ])
      expect(accepted(await search(identifier)).body).toEqual({ patient: null });
  });

  it('not by patients and auditors, and not without a token', async () => {
    const identifier = { system: MRN, value: 'x' };
    for (const who of ['patient', 'auditor'])
      expect(refusalOf(await search(identifier, who))).toBe('403 access.forbidden');
    const anonymous = await api.request.post('/api/patients/search').send(identifier);
    expect(refusalOf(anonymous)).toBe('401 access.unauthenticated');
  });
});

describe('a patient is read', () => {
  it('by themselves, and by those with a relation; to others there is none', async () => {
    const { patient, rx } = await enrolledWithOrder();
    for (const who of ['prescriber2', 'pharmacist', 'pharmacist2', 'patient', 'patient2'])
      expect(refusalOf(await read(patient, who))).toBe('404 ledger.chain-unknown');
    const known = accepted(await read(patient, 'prescriber')).body;
    expect(known).toMatchObject({ id: patient, name: 'Ada Sample', address: '1 Test Road, Springfield' });
    await claim(api, rx);
    expect(accepted(await read(patient, 'pharmacist')).body).toEqual(known);
    await issue(api, { patient, nominatedPharmacy: api.orgs.pharmacy2 }, 'prescriber2');
    for (const who of ['pharmacist2', 'prescriber2']) expect(accepted(await read(patient, who)).body).toEqual(known);
    for (const who of ['auditor', 'admin']) expect(refusalOf(await read(patient, who))).toBe('403 access.forbidden');
    expect(accepted(await read(api.patients.patient, 'patient')).body.name).toBe('Pat Example');
    const absent = await read(randomUUID(), 'prescriber2');
    expect((await read(api.patients.patient2, 'patient')).body).toEqual(absent.body);
    expect(refusalOf(await read(rx.id, 'prescriber'))).toBe('404 ledger.chain-unknown');
  });
});

describe('break-glass', () => {
  it('is recorded before the answer, and opens the record to that person for an hour', async () => {
    const { patient, rx } = await enrolledWithOrder();
    const opened = accepted(await open(patient, 'prescriber2'));
    expect(opened.body.until).toBe(new Date(api.clock.now() + HOUR).toISOString());
    expect(verifyReceipt(opened.body.receipt, api.vkey)).toMatchObject({ ok: true, entry: { chain: patient } });
    expect((await api.reader.events(patient)).at(-1)).toMatchObject({
      type: 'access.break-glass/1',
      index: opened.body.receipt.index,
      data: { reason: 'unconscious' },
    });
    const reads = () => Promise.all([read(patient, 'prescriber2'), api.as('prescriber2').get(rx.path)]);
    expect((await reads()).map(({ status }) => status)).toEqual([200, 200]);
    for (const who of ['pharmacist', 'pharmacist2'])
      expect(refusalOf(await read(patient, who))).toBe('404 ledger.chain-unknown');
    // It lets read, not act.
    const cancelled = await api.as('prescriber2').post(`${rx.path}/cancel`, { reason: 'other' });
    expect(refusalOf(cancelled)).toBe('404 ledger.chain-unknown');

    api.clock.advance(HOUR - 1);
    expect((await reads()).map(({ status }) => status)).toEqual([200, 200]);
    api.clock.advance(1);
    expect((await reads()).map(refusalOf)).toEqual(['404 ledger.chain-unknown', '404 ledger.chain-unknown']);
    accepted(await open(patient, 'prescriber2', 'again'));
    expect(accepted(await read(patient, 'prescriber2')).body.id).toBe(patient);
  });

  it('needs a reason, a patient, and a role that treats', async () => {
    const { patient } = await enrolledWithOrder();
    for (const reason of ['', ' \t\n'])
      expect(refusalOf(await open(patient, 'prescriber2', reason))).toBe('400 request.invalid');
    expect(refusalOf(await api.as('prescriber2').post(`/api/patients/${patient}/break-glass`, {}))).toBe(
      '400 request.invalid',
    );
    expect(refusalOf(await open(randomUUID(), 'prescriber2'))).toBe('404 ledger.chain-unknown');
    for (const who of ['patient', 'auditor', 'admin'])
      expect(refusalOf(await open(patient, who))).toBe('403 access.forbidden');
    expect((await api.reader.events(patient)).map(({ type }) => type)).toEqual(['patient.enrolled/1']);
    const key = randomUUID();
    const twice = [await open(patient, 'pharmacist2', 'r', key), await open(patient, 'pharmacist2', 'r', key)];
    expect(new Set(twice.map(({ body }) => body.receipt.index)).size).toBe(1);
  });
});

describe('who read a patient’s data', () => {
  it('is seen by the patient, newest first, with what was read and why', async () => {
    const { patient2: patient } = api.patients;
    const rx = await issue(api, { patient });
    accepted(await api.as('prescriber').get(rx.path));
    accepted(await read(patient, 'prescriber'));
    accepted(await api.as('pharmacist2').post(`/api/patients/${patient}/break-glass`, { reason: 'accident' }));
    accepted(await api.as('pharmacist2').get(rx.path));
    accepted(await api.as('patient2').get(rx.path));
    accepted(await api.as('patient2').get('/api/prescriptions'));

    const [doctor, chemist] = [await self('prescriber'), await self('pharmacist2')];
    const seen = await accesses();
    expect(seen).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'break-glass',
          reason: 'accident',
          reader: expect.objectContaining({ id: chemist.id }),
        }),
        expect.objectContaining({
          type: 'read',
          action: 'prescription.read',
          reader: { id: chemist.id, role: 'pharmacist', org: api.orgs.pharmacy2 },
          chains: [rx.id],
        }),
        expect.objectContaining({
          type: 'read',
          action: 'patient.read',
          reader: expect.objectContaining({ id: doctor.id }),
        }),
        expect.objectContaining({ type: 'read', action: 'prescription.read', chains: [rx.id] }),
      ]),
    );
    const patientAccount = await self('patient2');
    expect(seen.filter(({ reader }) => reader.id === patientAccount.id)).toEqual([]);
    const times = seen.map((one) => Reflect.get(one, 'at') as string);
    expect(times).toEqual(times.toSorted().toReversed());
    const path = `/api/patients/${patient}/accesses`;
    expect(refusalOf(await api.as('patient').get(path))).toBe('404 ledger.chain-unknown');
    for (const who of ['prescriber', 'pharmacist2', 'auditor', 'admin'])
      expect(refusalOf(await api.as(who).get(path))).toBe('403 access.forbidden');
  });

  it('is on the ledger soon, without anybody asking; a list names what it showed', async () => {
    const { patient, rx } = await enrolledWithOrder();
    const recorded = async () =>
      (await api.reader.events(patient)).flatMap(({ type, data }) =>
        type === 'access.recorded/1' ? (data['reads'] as { action: string; chains: string[] }[]) : [],
      );
    expect(accepted(await api.as('prescriber').get(`/api/prescriptions?patient=${patient}`)).body.items).toHaveLength(
      1,
    );
    const reads = await until(async () => {
      const all = await recorded();
      return all.length > 0 && all;
    });
    expect(reads).toEqual([expect.objectContaining({ action: 'prescription.list', chains: [rx.id] })]);
  });

  it('says nothing of an attempt that was refused', async () => {
    const { patient, rx } = await enrolledWithOrder();
    expect(refusalOf(await api.as('pharmacist2').get(rx.path))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await read(patient, 'pharmacist2'))).toBe('404 ledger.chain-unknown');
    accepted(await read(patient, 'prescriber'));
    await until(async () => (await api.reader.events(patient)).length > 1);
    const events = await api.reader.events(patient);
    const doctor = await self('prescriber');
    expect(events.slice(1).flatMap(({ data }) => data['reads'])).toMatchObject([{ reader: { id: doctor.id } }]);
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
