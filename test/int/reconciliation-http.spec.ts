import { ReadDb } from '../../src/ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SettableClock } from '../../src/time/clock.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { Config } from '../../src/config/config.js';
import { HealthModule } from '../../src/http/health/health.module.js';
import { createLogger } from '../../src/config/logging.js';
import { createServer } from '../../src/http/server.js';
import { type DemoSignIn, seedDemo } from '../../src/seed/demo-accounts.js';
import { enrolDemoPatient } from '../../src/seed/demo-patients.js';
import { IdentityModule } from '../../src/identity/identity.module.js';
import { MetricsModule } from '../../src/http/metrics/metrics.module.js';
import { LedgerModule } from '../../src/ledger/ledger.module.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import type { Actor } from '../../src/ledger/model.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { AccessLog } from '../../src/patient/access-log.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { prescriptionModel, supplyModel } from '../../src/prescription/chain-models.js';
import { Reconciler } from '../../src/reconciliation/reconciler.js';
import { ReconciliationModule } from '../../src/reconciliation/reconciliation.module.js';
import { issue, report } from '../support/domain.js';
import { newDataDir, NOW, tell } from './reconciliation-support.js';

const PASSWORD = 'correct horse battery';

@Module({})
class Root {}

describe('discrepancies and jobs over HTTP', () => {
  let folder: Awaited<ReturnType<typeof newDataDir>>;
  let app: NestFastifyApplication;
  let people: Map<string, DemoSignIn>;
  let patient: string;

  const actor = (name: string): Actor => {
    const { id, role, org } = signIn(name);
    return { id, role, org, patient: signIn(name).patient };
  };
  const reader = (name: string) => ({ id: signIn(name).id, role: 'pharmacist', org: signIn(name).org });
  const signIn = (name: string): DemoSignIn => {
    const found = people.get(name);
    if (!found) throw new Error(`nobody is called ${name}`);
    return found;
  };
  const bearer = async (username: string) => {
    const answer = await app.inject({
      method: 'POST',
      url: '/api/auth/sign-in',
      payload: { username, password: PASSWORD },
    });
    return { authorization: `Bearer ${answer.json<{ accessToken: string }>().accessToken}` };
  };
  const get = async (name: string, url: string) => app.inject({ method: 'GET', url, headers: await bearer(name) });
  const post = async (name: string, url: string, payload?: object, headers: Record<string, string> = {}) =>
    app.inject({ method: 'POST', url, headers: { ...(await bearer(name)), ...headers }, ...(payload && { payload }) });
  type Listed = {
    items: { id: string; patient: string; class: string; status: string; evidence: object }[];
    next: string | null;
  };
  const list = async (name: string, query = '') => (await get(name, `/api/discrepancies${query}`)).json<Listed>();

  beforeAll(async () => {
    folder = await newDataDir();
    const clock = new SettableClock(Date.parse(NOW));
    const config = Config.parse({ DATA_DIR: folder.dataDir, LOG_LEVEL: 'silent', SIGN_IN_PER_MINUTE: '100000' });
    app = await createServer(
      {
        module: Root,
        imports: [
          ConfigModule.with(config, clock),
          LedgerModule.with([prescriptionModel, supplyModel, patientModel]),
          HealthModule,
          MetricsModule,
          MetricsModule,
          IdentityModule,
          ReconciliationModule,
        ],
      },
      config,
      createLogger(config),
    );
    await app.init();
    const writer = app.get(LedgerWriter);
    const ledger = app.get(LedgerReader);
    const signIns = await seedDemo({
      writer,
      vault: app.get(Vault),
      clock,
      password: PASSWORD,
      enrol: (someone) => enrolDemoPatient(writer, ledger, someone),
    });
    people = new Map(signIns.map((someone) => [someone.username, someone]));

    // An over-dispense and an early refill by one pharmacy, an orphan by the other.
    patient = signIn('patient').patient ?? '';
    const practice = signIn('prescriber').org ?? '';
    const name = { issuer: practice, number: 'n' };
    const target = { number: 'n', patient, issuer: practice };
    const nominatedPharmacy = signIn('pharmacist').org;
    await tell({ writer }, target, issue({ name, patient, nominatedPharmacy }, actor('prescriber')));
    await tell({ writer }, target, report('30', 'one', { order: name, issue: 0 }, actor('pharmacist')));
    await tell({ writer }, target, report('30', 'two', { order: name, issue: 1 }, actor('pharmacist')));
    await tell({ writer }, { supply: randomUUID() }, report('30', 'three', { order: null }, actor('pharmacist2')));
    const subjects = await app.get(ReadDb).query<{ subject: number }>('SELECT DISTINCT subject FROM chain');
    for (const { subject } of subjects) await app.get(Reconciler).reconcile(subject);
  });
  afterAll(async () => {
    await app.close();
    await folder.remove();
  });

  it.each([
    ['prescriber', ['D07', 'D13']],
    ['pharmacist', ['D07', 'D13']],
    ['pharmacist2', ['D12']],
    ['prescriber2', []],
  ])('%s sees what concerns their organisation: %j', async (name, classes) => {
    const { items } = await list(name);
    expect(items.map((item) => item.class).toSorted()).toEqual(classes);
    expect(items.every(({ status }) => status === 'open')).toBe(true);
  });

  it.each(['patient', 'auditor', 'admin'])('%s may not list them', async (name) => {
    expect((await get(name, '/api/discrepancies')).statusCode).toBe(403);
  });

  it('records who read them on the patient’s chain', async () => {
    await list('pharmacist');
    await app.get(AccessLog, { strict: false }).flush();
    const events = await app.get(LedgerReader).events(patient);
    const reads = events.filter(({ type }) => type === 'access.recorded/1').map(({ data }) => data['reads']);
    expect(reads.flat()).toContainEqual(
      expect.objectContaining({ action: 'discrepancy.list', reader: expect.objectContaining(reader('pharmacist')) }),
    );
  });

  it('pages', async () => {
    const first = await list('pharmacist', '?limit=1');
    expect(first.items).toHaveLength(1);
    const second = await list('pharmacist', `?limit=1&after=${first.next}`);
    expect(second.items).toHaveLength(1);
    expect(second.items[0]?.id).not.toBe(first.items[0]?.id);
    expect(await list('pharmacist', `?limit=1&after=${second.next}`)).toEqual({ items: [], next: null });
    expect((await get('pharmacist', '/api/discrepancies?after=nonsense')).statusCode).toBe(400);
  });

  it('is resolved by a side that it concerns, once; to others it does not exist', async () => {
    const found = (await list('pharmacist')).items.find((item) => item.class === 'D13');
    const url = `/api/discrepancies/${patient}/${found?.id}/resolve`;
    const body = { resolution: 'accepted', note: 'the dose was raised' };
    for (const stranger of ['pharmacist2', 'prescriber2']) {
      const refused = await post(stranger, url, body);
      expect(refused.json()).toMatchObject({ status: 404, code: 'discrepancy.unknown' });
    }
    const nowhere = await post('pharmacist', `/api/discrepancies/${randomUUID()}/${found?.id}/resolve`, body);
    expect(nowhere.json()).toMatchObject({ status: 404, code: 'discrepancy.unknown' });
    expect((await post('patient', url, body)).statusCode).toBe(403);
    expect((await post('pharmacist', url, { resolution: 'gone' })).statusCode).toBe(400);

    const key = { 'idempotency-key': randomUUID() };
    const done = await post('pharmacist', url, body, key);
    expect(done.json()).toMatchObject({
      discrepancy: { id: found?.id, status: 'resolved', resolution: 'accepted', patient },
      receipt: { v: 1 },
    });
    const again = await post('pharmacist', url, body, key);
    expect(again.json().discrepancy).toEqual(done.json().discrepancy);
    expect((await post('prescriber', url, body)).json()).toMatchObject({
      status: 409,
      code: 'discrepancy.already-resolved',
    });
    expect((await list('pharmacist', '?status=open')).items.map((item) => item.class)).toEqual(['D07']);
    expect((await list('pharmacist', '?status=resolved')).items.map((item) => item.class)).toEqual(['D13']);
  });

  it('shows failed jobs to the administrator only, and says when the queues are away', async () => {
    expect((await get('pharmacist', '/api/jobs/failed')).statusCode).toBe(403);
    expect((await get('admin', '/api/jobs/failed')).json()).toMatchObject({ status: 503, code: 'jobs.unavailable' });
    const retry = await post('admin', '/api/jobs/failed/reconcile.1/retry');
    expect(retry.json()).toMatchObject({ status: 503, code: 'jobs.unavailable' });
  });
});
