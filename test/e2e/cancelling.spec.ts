import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, encounter, ids, order, organisation, patient, practitioner } from '../../src/import/bundle.fixture.js';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { prescriptionModel } from '../../src/prescription/chain-models.js';
import {
  accepted,
  type Answer,
  type Api,
  claim,
  dispense,
  issue,
  newOrder,
  refusalOf,
  startApi,
} from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { runCommand } from '../support/terminal.js';

const DAY = 86_400_000;

let api: Api;
const folder = temporaryFolder();
beforeAll(async () => {
  api = await startApi({ DATA_DIR: folder.path });
});
afterAll(async () => {
  await api.close();
  folder.remove();
});

const post = (path: string, body: object, who = 'prescriber', key?: string) => api.as(who).post(path, body, key);
const issueOf = (over: object, who?: string, key?: string) => post('/api/prescriptions', newOrder(api, over), who, key);
const cancel = (path: string, who = 'prescriber') =>
  post(`${path}/cancel`, { reason: 'clinical-change', note: 'changed' }, who);
const cancelNumber = (number: string, who = 'prescriber', key?: string) =>
  post('/api/cancellations', { number, reason: 'duplicate' }, who, key);
const statusOf = ({ body }: Answer) => [
  body.prescription.status,
  ...body.prescription.issues.map((one: { status: string }) => one.status),
];

/** A new order number. */
const fresh = () => `N-${randomUUID().slice(0, 8)}`;

describe('a prescription is cancelled', () => {
  it('at once while nobody holds it, with its refills', async () => {
    const rx = await issue(api, { refills: 1 });
    const answer = accepted(await cancel(rx.path));
    expect(statusOf(answer)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(answer.body.prescription.cancel).toEqual({
      reason: 'clinical-change',
      recordedAt: expect.any(String),
      effect: 'applied',
    });
    expect(refusalOf(await post(`${rx.path}/claim`, { token: rx.token }, 'pharmacist'))).toBe(
      '409 prescription.cancelled',
    );
  });

  it('pending while a pharmacy holds it', async () => {
    const rx = await issue(api);
    const secret = await claim(api, rx);
    const answer = accepted(await cancel(rx.path));
    expect(statusOf(answer)).toEqual(['active', 'claimed']);
    expect(answer.body.prescription.cancel).toMatchObject({ effect: 'pending' });
    expect(refusalOf(await cancel(rx.path))).toBe('409 cancel.already-pending');
    const released = await post(`${rx.path}/release`, { secret, reason: 'other' }, 'pharmacist');
    expect(statusOf(accepted(released))).toEqual(['cancelled', 'cancelled']);
  });

  it('not after it was cancelled, dispensed, or closed as not dispensed', async () => {
    const gone = await issue(api);
    accepted(await cancel(gone.path));
    expect(refusalOf(await cancel(gone.path))).toBe('409 cancel.already-cancelled');

    const done = await issue(api);
    await dispense(api, done, await claim(api, done));
    expect(refusalOf(await cancel(done.path))).toBe('409 cancel.dispensed');

    const closed = await issue(api);
    const body = { secret: await claim(api, closed), reason: 'not-collected' };
    accepted(await post(`${closed.path}/not-dispensed`, body, 'pharmacist'));
    expect(refusalOf(await cancel(closed.path))).toBe('409 cancel.not-dispensed');
  });

  it('not after it has expired, whether or not a timer said so', async () => {
    const later = await startApi();
    try {
      const rx = await issue(later);
      later.clock.advance(400 * DAY);
      const answer = await later.as('prescriber').post(`${rx.path}/cancel`, { reason: 'other' });
      expect(refusalOf(answer)).toBe('409 cancel.expired');
    } finally {
      await later.close();
    }
  });

  it('not when it was never in force', async () => {
    const file = join(folder.path, 'history.json');
    const clinic = { ...organisation, id: api.orgs.practice };
    const visit = { ...encounter, serviceProvider: { reference: `urn:uuid:${api.orgs.practice}` } };
    const wrong = order({ status: 'entered-in-error' });
    writeFileSync(file, bundle(patient, clinic, practitioner, visit, wrong));
    expect((await runCommand(['import', file], { DATA_DIR: folder.path })).code).toBe(0);
    const { items } = accepted(await api.as('prescriber').get('/api/prescriptions?status=entered-in-error')).body;
    expect(items).toMatchObject([{ number: ids.order, historical: true }]);
    const answer = await cancel(`/api/prescriptions/${items[0].id}`);
    expect(refusalOf(answer)).toBe('409 cancel.not-active');
    expect(answer.body.status).toBe(409);
  });

  it('by its practice only', async () => {
    const rx = await issue(api);
    expect(refusalOf(await cancel(rx.path, 'prescriber2'))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await cancel(`/api/prescriptions/${randomUUID()}`))).toBe('404 ledger.chain-unknown');
    for (const who of ['pharmacist', 'patient', 'auditor', 'admin'])
      expect(refusalOf(await cancel(rx.path, who))).toBe('403 access.forbidden');
    expect(refusalOf(await post(`${rx.path}/cancel`, { reason: 'mood' }))).toBe('400 request.invalid');
    expect(accepted(await api.as('patient').get(rx.path)).body.status).toBe('active');
  });
});

describe('a cancellation by order number', () => {
  it('waits for an order that has not arrived, and takes it when it does', async () => {
    const number = fresh();
    const held = accepted(await cancelNumber(number));
    expect(held.body.prescription).toMatchObject({ status: null, patient: null, cancel: { effect: 'held' }, number });
    expect(refusalOf(await cancelNumber(number))).toBe('409 cancel.already-pending');
    const { id } = held.body.prescription;
    const before = await api.reader.chain(id, prescriptionModel);
    expect([api.patients.patient, api.orgs.practice]).not.toContain(before?.subject);
    expect(refusalOf(await api.as('patient').get(`/api/prescriptions/${id}`))).toBe('404 ledger.chain-unknown');

    // Another practice's order of this number is another order.
    expect(statusOf(accepted(await issueOf({ number }, 'prescriber2')))).toEqual(['active', 'ready']);

    const arrived = accepted(await issueOf({ number }));
    expect(statusOf(arrived)).toEqual(['cancelled', 'cancelled']);
    expect(arrived.body.prescription).toMatchObject({ id, cancel: { reason: 'duplicate', effect: 'applied' } });
    expect(arrived.body.receipts).toHaveLength(2);
    for (const receipt of arrived.body.receipts)
      expect(verifyReceipt(receipt, api.vkey)).toMatchObject({ ok: true, entry: { chain: id } });
    expect((await api.reader.chain(id, prescriptionModel))?.subject).toBe(api.patients.patient);
    expect(accepted(await api.as('patient').get(`/api/prescriptions/${id}`)).body.status).toBe('cancelled');
    const claimed = await post(`/api/prescriptions/${id}/claim`, { token: arrived.body.token }, 'pharmacist');
    expect(refusalOf(claimed)).toBe('409 prescription.cancelled');
  });

  it('cancels an order that is here, which stays its patient’s', async () => {
    const number = fresh();
    const rx = await issue(api, { number });
    expect(statusOf(accepted(await cancelNumber(number)))).toEqual(['cancelled', 'cancelled']);
    expect(await api.reader.chain(rx.id, prescriptionModel)).toMatchObject({ subject: api.patients.patient, seq: 1 });
    expect(refusalOf(await cancelNumber(number))).toBe('409 cancel.already-cancelled');
  });

  it('of another practice says nothing about an order here', async () => {
    const number = fresh();
    const rx = await issue(api, { number });
    const theirs = accepted(await cancelNumber(number, 'prescriber2'));
    expect(theirs.body.prescription).toMatchObject({ issuer: api.orgs.practice2, status: null });
    expect(accepted(await api.as('prescriber').get(rx.path)).body).toMatchObject({ status: 'active', cancel: null });
  });

  it('that is repeated with its key is recorded once', async () => {
    const [number, key] = [fresh(), randomUUID()];
    const first = accepted(await cancelNumber(number, 'prescriber', key));
    const again = accepted(await cancelNumber(number, 'prescriber', key));
    expect(again.body.prescription).toEqual(first.body.prescription);
    expect(again.body.receipt.index).toBe(first.body.receipt.index);
    expect(refusalOf(await cancelNumber(fresh(), 'prescriber', key))).toBe('422 idempotency.key-reused');
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
