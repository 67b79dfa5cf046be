import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../../src/cli/program.js';
import { listenLocally } from '../../src/cli/service/machine.js';
import { Replica } from '../../src/audit/follow/replica/replica.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { accepted, type Api, claim, dispense, issue, LISINOPRIL, newOrder, startApi, tablets } from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { fileServer } from '../support/log.js';
import { backup, exported, follow } from '../support/set-back.js';
import { until } from '../support/wait.js';
import { testTerminal } from '../support/terminal.js';

const DAY = 86_400_000;
const redis = await sharedRedis();

const closers: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A report of a dispense, of nobody known for no known order unless it says so. */
async function report(api: Api, over: object = {}) {
  const body = {
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: new Date(api.clock.now() - DAY).toISOString(),
    reason: 'outage',
    ...over,
  };
  return accepted(await api.as('pharmacist').post('/api/dispense-reports', body)).body;
}

const number = (): string => `N-${randomUUID().slice(0, 8)}`;
const cancelled = (api: Api, of: string) =>
  api.as('prescriber').post('/api/cancellations', { number: of, reason: 'duplicate' });

/** Subject of each chain, by their ids. */
async function subjectsOf({ db }: Api): Promise<Record<string, string>> {
  const rows = await db.query<{ id: string; subject: string }>(
    'SELECT c.id, s.id AS subject FROM chain c JOIN subject s ON s.num = c.subject',
  );
  return Object.fromEntries(rows.map(({ id, subject }) => [id, subject]));
}

describe('a service whose database was set back and restored', () => {
  it('goes on where it was: claims, tokens, supplies, doses, discrepancies', async () => {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    const env = { DATA_DIR: join(folder.path, 'data'), RELAY_POLL_SECONDS: '0.1', PUBLISH_SECONDS: '86400' };

    // Given a backup with an order, and two orders that are only heard of.
    let api = await startApi(env);
    closers.push(() => api.close());
    const issuer = api.orgs.practice;
    const early = await issue(api);
    const [heldBefore, reportedBefore] = [number(), number()];
    accepted(await cancelled(api, heldBefore));
    await report(api, { order: { issuer, number: reportedBefore } });
    await api.close();
    const config = testConfig(env.DATA_DIR);
    const setBack = await backup(config, closers);

    // When much happens, and the database is lost with it.
    api = await startApi({ ...env, ...(redis.missing === null && { REDIS_URL: redis.url }) });
    const { patient } = api.patients;
    const earlySecret = await claim(api, early);
    const held = await issue(api);
    const heldSecret = await claim(api, held);
    const unclaimed = await issue(api);
    const filled = await issue(api);
    await dispense(api, filled, await claim(api, filled));
    const dose = accepted(await api.as('patient').post(`${filled.path}/doses`, { outcome: 'taken' })).body;
    const own = accepted(await api.as('patient').post('/api/doses', { medication: LISINOPRIL, outcome: 'taken' })).body
      .supply;
    const arrived = await issue(api, { number: reportedBefore });
    const [heldSince, namedSince] = [number(), number()];
    accepted(await cancelled(api, heldSince));
    const named = await report(api, { order: { issuer, number: namedSince }, patient });
    const orphan = await report(api);
    const matched = await report(api);
    accepted(await api.as('pharmacist').post(`/api/supplies/${matched.id}/match`, { prescription: held.id }));
    const discrepancyOf = async (about: string) => {
      const { items } = accepted(await api.as('pharmacist').get('/api/discrepancies?status=open')).body;
      return items.find((one: { about: string }) => one.about === about);
    };
    if (redis.missing === null) await until(() => discrepancyOf(orphan.id), { what: 'D12' });
    const subjects = await subjectsOf(api);
    const { vkey } = api;
    await api.close();
    const auditor = join(folder.path, 'auditor');
    await follow(config, auditor, vkey, await Replica.open(join(auditor, 'log')));
    const file = join(folder.path, 'export');
    const lines = await exported(config);
    writeFileSync(file, lines.join('\n'));
    await setBack();
    await expect(startApi(env)).rejects.toThrow(/set back/);
    const said: string[] = [];
    const line = (words: string) => said.push(words);
    const { terminal } = testTerminal({ out: line, err: line, status: line, env: { DATA_DIR: env.DATA_DIR } });
    const server = fileServer(auditor, 'auditor');
    closers.push(async () => void server.close());
    const url = `http://127.0.0.1:${await listenLocally(server)}`;
    const token = join(folder.path, 'token');
    writeFileSync(token, 'auditor\n');
    const restore = (...more: string[]) =>
      run(['log', 'restore', '--replica', url, '--payloads', file, ...more], terminal);
    expect(await restore()).toBe(3);
    expect(said.pop()).toMatch(/entries are for auditors/);
    expect(await restore('--token', token)).toBe(0);
    expect(said.join('\n')).toMatch(/were brought back\nverified: \d+ entries, \d+ payloads/);

    // Then everybody goes on with what they have in their hands.
    api = await startApi(env);
    expect(api.vkey).toBe(vkey);
    // At once: to whoever follows it, what the backup had published last would be a log set back.
    const shown = (await api.request.get('/log/checkpoint')).text;
    expect(openCheckpoint(shown, vkey).size).toBe(lines.length - 1);
    const restored = await subjectsOf(api);
    const heldId = Object.keys(subjects).filter((id) => restored[id] !== subjects[id]);
    // Under a provisional subject of which the log says nothing: the cancellation; without discrepancies the orphan too.
    expect(heldId).toHaveLength(redis.missing === null ? 1 : 2);
    expect(restored[named.id]).toBe(patient);
    expect(restored[matched.id]).toBe(patient);
    expect(restored[arrived.id]).toBe(patient);
    await dispense(api, early, earlySecret);
    await dispense(api, held, heldSecret);
    await claim(api, unclaimed);
    const asPatient = api.as('patient');
    expect(accepted(await asPatient.get(`${arrived.path}/token`)).body).toEqual({ token: arrived.token });
    expect(accepted(await asPatient.get(`${filled.path}/doses`)).body.items).toMatchObject([
      { doseId: dose.dose.doseId },
    ]);
    const supplies = accepted(await asPatient.get('/api/supplies')).body.items.map(({ id }: { id: string }) => id);
    expect(new Set(supplies)).toEqual(new Set([own.id, matched.id]));
    expect((await issue(api, { number: namedSince })).id).toBe(named.id);
    for (const of of [heldBefore, heldSince]) {
      const answer = accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api, { number: of })));
      expect(answer.body.prescription).toMatchObject({ status: 'cancelled' });
    }
    if (redis.missing === null) expect(await discrepancyOf(orphan.id)).toMatchObject({ class: 'D12' });
    for (const { receipt } of [orphan, named]) expect(verifyReceipt(receipt, vkey)).toMatchObject({ ok: true });
    expect(Object.values(await subjectsOf(api)).filter((subject) => subject === patient).length).toBeGreaterThan(8);
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });
});
