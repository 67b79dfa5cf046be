import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { Clock } from '../../src/time/clock.js';
import { bundle, encounter, order, organisation, patient, practitioner } from '../../src/import/bundle.fixture.js';
import { importFiles } from '../../src/import/importer.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import type { DiscrepancyPage, DiscrepancyView } from '../../src/reconciliation/discrepancy.service.js';
import {
  accepted,
  type Api,
  claim,
  dispense,
  issue,
  LISINOPRIL,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { until } from '../support/wait.js';

const DAY = 86_400_000;
const MRN = 'https://clinic.example/mrn';

/** Says that it handed over, outside a claim. @returns id of the chain and of the dispense */
async function report(api: Api, who: string, over: object): Promise<{ id: string; dispenseId: string }> {
  const body = {
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: new Date(api.clock.now()).toISOString(),
    reason: 'outage',
    ...over,
  };
  return accepted(await api.as(who).post('/api/dispense-reports', body)).body;
}

const redis = await sharedRedis();
describe.skipIf(redis.missing)('a report of a number that was guessed', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi({ REDIS_URL: redis.url, RELAY_POLL_SECONDS: '0.1' });
  });
  afterAll(() => api.close());

  const list = async (who: string, about: string): Promise<DiscrepancyView[]> => {
    const { items }: DiscrepancyPage = accepted(await api.as(who).get('/api/discrepancies?limit=200')).body;
    return items.filter((item) => item.about === about);
  };
  const found = (who: string, about: string, kind: string) =>
    until(async () => (await list(who, about)).find((item) => item.class === kind), { what: `${kind} for ${who}` });
  const resolve = (who: string, of: string, { id }: DiscrepancyView) =>
    api.as(who).post(`/api/discrepancies/${of}/${id}/resolve`, { resolution: 'rejected' });

  it('tells its pharmacy that it disagrees, nothing of the patient or of others, and lets it resolve nothing', async () => {
    const rx = await issue(api);
    const theirs = await dispense(api, rx, await claim(api, rx, 'pharmacist2'), {}, 'pharmacist2');
    const name = { issuer: api.orgs.practice, number: rx.number };
    // The test's clock stands still: the report is of a later fill.
    api.clock.advance(60_000);
    const mine = await report(api, 'pharmacist', { order: name, quantity: tablets('7') });
    for (const kind of ['D07', 'D13']) {
      const seen = await found('pharmacist', rx.id, kind);
      expect(seen).toEqual({
        id: expect.stringMatching(new RegExp(`^${kind}:`)),
        patient: null,
        about: mine.id,
        class: kind,
        side: 'both',
        status: 'open',
        openedAt: expect.any(String),
        resolvedAt: null,
        resolution: null,
        evidence: { dispenses: [mine.dispenseId] },
      });
      const refused = await resolve('pharmacist', api.patients.patient, seen);
      expect(refusalOf(refused)).toBe('404 discrepancy.unknown');
      expect(refused.body).toEqual((await resolve('pharmacist2', randomUUID(), seen)).body);
    }
    // The holder and the practice see all of it.
    for (const who of ['pharmacist2', 'prescriber']) {
      expect(await found(who, rx.id, 'D07')).toMatchObject({
        patient: api.patients.patient,
        evidence: { dispensed: '37', dispenses: [theirs, mine.dispenseId].toSorted() },
      });
    }
    const over = await found('pharmacist2', rx.id, 'D07');
    const resolved = accepted(await resolve('pharmacist2', api.patients.patient, over));
    expect(resolved.body.discrepancy).toMatchObject({ status: 'resolved', patient: api.patients.patient });
    expect(await found('pharmacist', rx.id, 'D07')).toMatchObject({ resolution: 'rejected', patient: null });
  });

  it('of a cancelled order: the same', async () => {
    const rx = await issue(api);
    accepted(await api.as('prescriber').post(`${rx.path}/cancel`, { reason: 'clinical-change' }));
    api.clock.advance(DAY);
    const name = { issuer: api.orgs.practice, number: rx.number };
    const mine = await report(api, 'pharmacist', { order: name });
    expect(await found('pharmacist', rx.id, 'D03')).toMatchObject({
      patient: null,
      evidence: { dispenses: [mine.dispenseId] },
    });
    const seen = await found('prescriber', rx.id, 'D03');
    expect(seen).toMatchObject({ patient: api.patients.patient, evidence: { dispense: mine.dispenseId } });
  });

  it('that another pharmacy named first: neither learns whom the other named', async () => {
    const name = { issuer: api.orgs.practice, number: randomUUID() };
    const first = await report(api, 'pharmacist2', { order: name, patient: api.patients.patient });
    expect(await found('pharmacist2', first.id, 'D12')).toMatchObject({ patient: api.patients.patient });
    const second = await report(api, 'pharmacist', { order: name });
    expect(await found('pharmacist', first.id, 'D12')).toMatchObject({
      patient: null,
      evidence: { dispenses: [second.dispenseId] },
    });
    expect(JSON.stringify(await list('pharmacist2', first.id))).not.toContain(second.dispenseId);
  });

  it('is seen whole by a nominated pharmacy', async () => {
    const rx = await issue(api, { nominatedPharmacy: api.orgs.pharmacy });
    await report(api, 'pharmacist', {
      order: { issuer: api.orgs.practice, number: rx.number },
      quantity: tablets('31'),
    });
    expect(await found('pharmacist', rx.id, 'D07')).toMatchObject({ patient: api.patients.patient });
  });

  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });
});

describe('people and organisations', () => {
  const folder = temporaryFolder();
  let api: Api;
  /** UUIDs of other versions than 4, one of them in capitals, as Synthea makes them from a seed. */
  const clinics = ['0b9c3f36-6a55-1d0e-c45f-5f5f0b1f2c22', '0B9C3F36-6A55-5D0E-0A3F-5F5F0B1F2C23'];
  beforeAll(async () => {
    const ledger = await openLedger(testConfig(folder.path), new Clock(), CHAIN_MODELS);
    try {
      for (const [n, id] of clinics.entries()) {
        const file = join(folder.path, `${n}.json`);
        const visit = { ...encounter, serviceProvider: { reference: `urn:uuid:${id}` } };
        const clinic = { ...organisation, id, name: `Clinic ${n}` };
        await writeFile(file, bundle(patient, clinic, practitioner, visit, order({ id: randomUUID() })));
        await importFiles([file], ledger, { zone: 'UTC' });
      }
    } finally {
      await ledger.close();
    }
    api = await startApi({ DATA_DIR: folder.path });
  });
  afterAll(async () => {
    await api.close();
    folder.remove();
  });

  const enrol = (identifiers: object[]) => api.as('prescriber').post('/api/patients', { name: 'Ada', identifiers });

  it('an order that was only ever reported makes its practice no relation to the patient', async () => {
    const body = { name: 'Ada', identifiers: [{ system: MRN, value: randomUUID() }] };
    const { id } = accepted(await api.as('admin').post('/api/patients', body)).body.patient;
    for (const number of ['NEVER', randomUUID()])
      await report(api, 'pharmacist', { order: { issuer: api.orgs.practice2, number }, patient: id });
    for (const who of ['prescriber2', 'pharmacist'])
      expect(refusalOf(await api.as(who).get(`/api/patients/${id}`))).toBe('404 ledger.chain-unknown');
    await issue(api, { patient: id }, 'prescriber2');
    expect(accepted(await api.as('prescriber2').get(`/api/patients/${id}`)).body.id).toBe(id);
  });

  it('imported organisations are paged through, whatever version of UUID they have', async () => {
    const seen: string[] = [];
    for (let next: string | null = '', at = ''; next !== null; at = `&after=${next}`) {
      const { body } = accepted(await api.as('admin').get(`/api/organisations?limit=1${at}`));
      seen.push(...body.items.map(({ id }: { id: string }) => id));
      next = body.next;
    }
    expect(seen).toEqual(expect.arrayContaining([...clinics.map((id) => id.toLowerCase()), api.orgs.practice]));
    expect(seen).toEqual(seen.toSorted());
  });

  it('an imported practice gets accounts, in whatever case it is written', async () => {
    const password = 'a long enough password';
    for (const [n, org] of clinics.entries()) {
      const username = `imported-${n}`;
      const body = { role: 'prescriber', org, username, name: 'Dr. Test', password };
      const made = accepted(await api.as('admin').post('/api/accounts', body)).body;
      expect(made).toMatchObject({ username, org: org.toLowerCase() });
      const signedIn = await api.request.post('/api/auth/sign-in').send({ username, password }).expect(200);
      const self = await api.request.get('/api/self').auth(signedIn.body.accessToken, { type: 'bearer' }).expect(200);
      expect(self.body.organisation).toMatchObject({ id: org.toLowerCase(), name: `Clinic ${n}` });
    }
    const nobody = { role: 'prescriber', org: 'nobody', username: 'nobody', name: 'N', password };
    expect(refusalOf(await api.as('admin').post('/api/accounts', nobody))).toBe('400 request.invalid');
  });

  it('who searches for a patient is seen by the patient', async () => {
    const identifier = { system: MRN, value: 'M-100' };
    const id = accepted(await api.as('pharmacist').post('/api/patients/search', identifier)).body.patient.id;
    const none = { system: MRN, value: 'nobody' };
    expect(accepted(await api.as('pharmacist').post('/api/patients/search', none)).body).toEqual({ patient: null });
    const { id: reader } = accepted(await api.as('pharmacist').get('/api/self')).body;
    const reads = await until(
      async () => {
        const events = await api.reader.events(id);
        const recorded = events.filter(({ type }) => type === 'access.recorded/1');
        return recorded.length > 0 && recorded.flatMap(({ data }) => data['reads']);
      },
      { what: 'a recorded search' },
    );
    expect(reads).toEqual([
      expect.objectContaining({
        action: 'patient.search',
        reader: { id: reader, role: 'pharmacist', org: api.orgs.pharmacy },
        chains: [id],
      }),
    ]);
  });

  it('two enrolments at once that share a further identifier: one is enrolled, the other is told so', async () => {
    for (let race = 0; race < 10; race++) {
      const shared = { system: 'https://state.example/id', value: randomUUID() };
      const answers = await Promise.all([1, 2, 3].map(() => enrol([{ system: MRN, value: randomUUID() }, shared])));
      expect(answers.map(refusalOf).toSorted()).toEqual([
        '201',
        '409 patient.already-enrolled',
        '409 patient.already-enrolled',
      ]);
    }
  });
});
