import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prescriptionModel } from '../../src/prescription/chain-models.js';
import {
  accepted,
  type Api,
  claim,
  issue,
  type Issued,
  LISINOPRIL,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { until } from '../support/wait.js';

const DAY = 86_400_000;

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

/** A report of a dispense, of nobody known for no known order unless it says so. */
function report(over: object = {}): object {
  return {
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: new Date(api.clock.now() - DAY).toISOString(),
    reason: 'outage',
    ...over,
  };
}

const send = (body: object, who = 'pharmacist') => api.as(who).post('/api/dispense-reports', body);
const nameOf = ({ number }: Issued) => ({ issuer: api.orgs.practice, number });

const supplyOf = async (over: object = {}): Promise<string> =>
  accepted(await api.as('pharmacist').post('/api/dispense-reports', report(over))).body.id;
const match = (who: string, supply: string, prescription: string) =>
  api.as(who).post(`/api/supplies/${supply}/match`, { prescription });

describe('reports', () => {
  it('repeated with their key are recorded once', async () => {
    const key = randomUUID();
    const again = () => api.as('pharmacist').post('/api/dispense-reports', report(), key);
    const [first, second] = [accepted(await again()), accepted(await again())];
    expect([second.body.id, second.body.dispenseId]).toEqual([first.body.id, first.body.dispenseId]);
    expect(second.body.supply.dispenses).toHaveLength(1);
  });

  it('of an order that the pharmacy holds: on the prescription, and answered with it', async () => {
    const rx = await issue(api);
    await claim(api, rx);
    const answer = accepted(await send(report({ order: nameOf(rx), issue: 0 })));
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ id: rx.id, prescription: { id: rx.id } });
    expect(answer.body.prescription.dispenses).toMatchObject([
      { dispenseId: answer.body.dispenseId, reported: true, pharmacy: api.orgs.pharmacy },
    ]);
    expect(answer.body.prescription.issues).toMatchObject([{ status: 'claimed' }]);
  });

  it('of an order whose number was guessed: recorded, and nothing of the order is told, then or later', async () => {
    const rx = await issue(api);
    const before = await api.reader.chain(rx.id, prescriptionModel);
    const answer = accepted(await send(report({ order: nameOf(rx), quantity: tablets('99') })));
    expect(Object.keys(answer.body).toSorted()).toEqual(['dispenseId', 'id', 'receipt']);
    expect(answer.body.id).toBe(rx.id);
    expect(JSON.stringify(answer.body)).not.toContain(api.patients.patient);

    const pharmacist = api.as('pharmacist');
    for (const asking of [
      pharmacist.get(rx.path),
      pharmacist.get(`${rx.path}/claim`),
      pharmacist.get(`${rx.path}/doses`),
      pharmacist.post(`${rx.path}/claim`, {}),
      pharmacist.post(`${rx.path}/dispenses`, { secret: 'guess', quantity: tablets('1') }),
    ]) {
      expect(refusalOf(await asking)).toBe('404 ledger.chain-unknown');
    }
    for (const asking of [
      pharmacist.post(`${rx.path}/claim`, { token: 'guess' }),
      pharmacist.post(`${rx.path}/lookup`, { token: 'guess' }),
    ]) {
      expect(refusalOf(await asking)).toBe('403 claim.token-wrong');
    }
    const listed = accepted(await pharmacist.get('/api/prescriptions?limit=200')).body;
    expect(listed.items.map(({ id }: { id: string }) => id)).not.toContain(rx.id);
    const patient = accepted(await pharmacist.get(`/api/prescriptions?patient=${api.patients.patient}&limit=1`)).body;
    expect(patient.items.map(({ id }: { id: string }) => id)).not.toContain(rx.id);

    // The order is still its patient's, and both sides see what was said.
    const after = await api.reader.chain(rx.id, prescriptionModel);
    expect(after?.subject).toBe(before?.subject);
    for (const who of ['patient', 'prescriber']) {
      expect(accepted(await api.as(who).get(rx.path)).body.dispenses).toMatchObject([{ reported: true }]);
    }

    const back = accepted(
      await pharmacist.post(`${rx.path}/dispenses/${answer.body.dispenseId}/reverse`, { reason: 'wrong-entry' }),
    );
    expect(Object.keys(back.body).toSorted()).toEqual(['dispenseId', 'id', 'receipt']);
  });

  it('with a patient who is not the order’s: the order stays its patient’s', async () => {
    const rx = await issue(api);
    const answer = accepted(await send(report({ order: nameOf(rx), patient: api.patients.patient2 })));
    expect(answer.body.id).toBe(rx.id);
    expect(accepted(await api.as('patient').get(rx.path)).body.id).toBe(rx.id);
    expect(refusalOf(await api.as('patient2').get(rx.path))).toBe('404 ledger.chain-unknown');
    const { items } = accepted(await api.as('patient2').get('/api/prescriptions?limit=200')).body;
    expect(items.map(({ id }: { id: string }) => id)).not.toContain(rx.id);
  });

  it.each([null, 'patient'] as const)('before the order arrives (%s): it continues that chain', async (whose) => {
    const number = `EARLY-${randomUUID().slice(0, 8)}`;
    const order = { issuer: api.orgs.practice, number };
    const early = accepted(await send(report({ order, patient: whose && api.patients[whose] })));
    expect(early.body).not.toHaveProperty('prescription');
    const rx = await issue(api, { number });
    expect(rx.id).toBe(early.body.id);
    expect(accepted(await api.as('patient').get(rx.path)).body).toMatchObject({
      status: 'active',
      dispenses: [{ dispenseId: early.body.dispenseId, reported: true }],
    });
    expect(refusalOf(await api.as('pharmacist').get(rx.path))).toBe('404 ledger.chain-unknown');
  });

  it('without an order: on a supply that the pharmacy sees, and the patient when they are known', async () => {
    const known = accepted(await send(report({ patient: api.patients.patient }))).body;
    expect(known.supply).toMatchObject({
      id: known.id,
      patient: api.patients.patient,
      pharmacy: api.orgs.pharmacy,
      matchedTo: null,
      dispenses: [{ dispenseId: known.dispenseId, issue: null, reported: true }],
      doses: [],
    });
    const unknown = accepted(await send(report())).body;
    expect(unknown.supply.patient).toBeNull();
    const ids = async (who: string) =>
      accepted(await api.as(who).get('/api/supplies?limit=200')).body.items.map(({ id }: { id: string }) => id);
    expect(await ids('pharmacist')).toEqual(expect.arrayContaining([known.id, unknown.id]));
    expect(await ids('patient')).toEqual(expect.arrayContaining([known.id]));
    expect(await ids('patient')).not.toContain(unknown.id);
    for (const who of ['pharmacist2', 'patient2']) {
      expect(await ids(who)).not.toContain(known.id);
      expect(refusalOf(await api.as(who).get(`/api/supplies/${known.id}`))).toBe('404 ledger.chain-unknown');
    }
    expect(accepted(await api.as('patient').get(`/api/supplies/${known.id}`)).body).toEqual(known.supply);
    expect(refusalOf(await api.as('prescriber').get('/api/supplies'))).toBe('403 access.forbidden');
  });

  it.each<[string, () => object, string]>([
    ['a patient who is none', () => ({ patient: randomUUID() }), '404 ledger.chain-unknown'],
    ['nothing handed over', () => ({ quantity: tablets('0') }), '422 quantity.invalid'],
    ['tomorrow', () => ({ whenHandedOver: new Date(api.clock.now() + DAY).toISOString() }), '422 dispense.in-future'],
    ['no reason', () => ({ reason: undefined }), '400 request.invalid'],
  ])('refused: %s', async (_, over, then) => {
    expect(refusalOf(await send(report(over())))).toBe(then);
  });

  it('refused: an id that the chain has, and who is no pharmacist', async () => {
    const rx = await issue(api);
    const dispenseId = randomUUID();
    accepted(await send(report({ order: nameOf(rx), dispenseId })));
    expect(refusalOf(await send(report({ order: nameOf(rx), dispenseId })))).toBe('409 dispense.duplicate');
    expect(refusalOf(await send(report(), 'prescriber'))).toBe('403 access.forbidden');
  });
});

describe('a supply is matched', () => {
  it('by the pharmacy that has both: it becomes the patient’s own', async () => {
    const rx = await issue(api);
    await claim(api, rx);
    const supply = await supplyOf();
    expect(refusalOf(await api.as('patient').get(`/api/supplies/${supply}`))).toBe('404 ledger.chain-unknown');
    const answer = accepted(await match('pharmacist', supply, rx.id));
    expect(answer.body).toMatchObject({ supply: { id: supply, matchedTo: rx.id }, receipt: { v: 1 } });
    expect(accepted(await api.as('patient').get(`/api/supplies/${supply}`)).body.matchedTo).toBe(rx.id);
    const chains = await api.db.query<{ id: string }>(
      'SELECT s.id FROM chain c JOIN subject s ON s.num = c.subject WHERE c.id = ?',
      [supply],
    );
    expect(chains).toEqual([{ id: api.patients.patient }]);
    expect(refusalOf(await match('pharmacist', supply, rx.id))).toBe('409 supply.already-matched');
  });

  it('by the patient of both', async () => {
    const rx = await issue(api);
    const supply = await supplyOf({ patient: api.patients.patient });
    expect(refusalOf(await match('patient2', supply, rx.id))).toBe('404 ledger.chain-unknown');
    expect(accepted(await match('patient', supply, rx.id)).body.supply.matchedTo).toBe(rx.id);
  });

  it('not to an order that the actor cannot see, not across patients, not by others', async () => {
    const [rx, theirs] = [await issue(api), await issue(api, { patient: api.patients.patient2 })];
    const supply = await supplyOf({ patient: api.patients.patient });
    expect(refusalOf(await match('pharmacist', supply, rx.id))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await match('patient', supply, theirs.id))).toBe('404 ledger.chain-unknown');
    await claim(api, theirs);
    expect(refusalOf(await match('pharmacist', supply, theirs.id))).toBe('409 supply.other-patient');
    expect(refusalOf(await match('pharmacist', randomUUID(), theirs.id))).toBe('404 ledger.chain-unknown');
    await claim(api, rx, 'pharmacist2');
    expect(refusalOf(await match('pharmacist2', supply, rx.id))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await match('prescriber', supply, rx.id))).toBe('403 access.forbidden');
    expect(accepted(await api.as('patient').get(`/api/supplies/${supply}`)).body.matchedTo).toBeNull();
  });
});

const redis = await sharedRedis();
describe.skipIf(redis.missing)('a supply that nobody ordered', () => {
  it('is a discrepancy on the desk of its pharmacy until it is matched', async () => {
    const reconciled = await startApi({ REDIS_URL: redis.url, RELAY_POLL_SECONDS: '0.1' });
    try {
      const rx = await issue(reconciled);
      await claim(reconciled, rx);
      const pharmacist = reconciled.as('pharmacist');
      const reported = accepted(await pharmacist.post('/api/dispense-reports', report())).body;
      const supply = reported.id;
      const give = () =>
        pharmacist.post(`/api/entries/${reported.receipt.index}/disclosures`, {
          members: ['type'],
          recipient: 'Example Insurance',
          reason: 'claim 4711',
        });
      const found = async (status: string) => {
        const { items } = accepted(await pharmacist.get(`/api/discrepancies?status=${status}`)).body;
        return items.find(({ about }: { about: string }) => about === supply);
      };
      expect(await until(() => found('open'), { what: 'D12' })).toMatchObject({ class: 'D12', side: 'pharmacy' });
      // What is found about a supply of nobody has a chain, on which no patient would see to whom it was given.
      expect(refusalOf(await give())).toBe('409 disclosure.no-patient');
      accepted(await pharmacist.post(`/api/supplies/${supply}/match`, { prescription: rx.id }));
      expect(await until(() => found('resolved'), { what: 'D12 resolved' })).toMatchObject({ resolution: 'gone' });
      accepted(await give());
      const { items } = accepted(
        await reconciled.as('patient').get(`/api/patients/${reconciled.patients.patient}/accesses`),
      ).body;
      expect(items).toContainEqual(
        expect.objectContaining({
          type: 'disclosure',
          entry: expect.objectContaining({ index: reported.receipt.index }),
        }),
      );
    } finally {
      await reconciled.close();
    }
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
