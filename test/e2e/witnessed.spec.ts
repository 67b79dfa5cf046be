import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/cli/service/machine.js';
import { fromUtf8 } from '../../src/ledger/core/bytes.js';
import { openWitnessed, parsePolicy, type Policy } from '../../src/ledger/core/tlog/policy.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { parseTlogProof } from '../../src/ledger/core/tlog/tlog-proof.js';
import { readFileSync } from 'node:fs';
import { accepted, type Api, newOrder, refusalOf, startApi } from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';
import { filesOf } from '../support/log.js';
import { startNode, type TestProcess } from '../support/process.js';
import { until } from '../support/wait.js';
import { logVkey, writePolicy } from '../support/witnesses.js';

const redis = await sharedRedis();
const ORIGIN = `witnessed.example/${process.pid}`;
const NAMES = ['w1', 'w2', 'w3'] as const;

describe.skipIf(redis.missing)('a service with three witnesses as processes, two of which are its quorum', () => {
  const folder = temporaryFolder();
  const ports = new Map<string, number>();
  const witnesses = new Map<string, TestProcess>();
  let api: Api;
  let policy: Policy;

  async function startOne(name: string): Promise<string> {
    const options = [
      '--dir',
      join(folder.path, name),
      '--name',
      `${name}.example`,
      '--log',
      logVkey(folder.path, ORIGIN),
    ];
    const one = startNode('bin/rxledger.js', ['witness', 'run', ...options, '--port', String(ports.get(name))]);
    witnesses.set(name, one);
    return (await one.line(/^ {2}key: (\S+)$/))[1]!;
  }

  beforeAll(async () => {
    const lines = [];
    for (const name of NAMES) {
      const port = await freePort();
      ports.set(name, port);
      lines.push({ name, vkey: await startOne(name), url: `http://127.0.0.1:${port}` });
    }
    const path = writePolicy(folder.path, logVkey(folder.path, ORIGIN), lines, 2);
    policy = parsePolicy(readFileSync(path));
    const env = { DATA_DIR: folder.path, LOG_ORIGIN: ORIGIN, WITNESS_POLICY: path, REDIS_URL: redis.url };
    api = await startApi({ ...env, PUBLISH_SECONDS: '0.1' });
  });
  afterAll(async () => {
    await api.close();
    for (const one of witnesses.values()) await one.kill();
    folder.remove();
  });

  const write = async (): Promise<Receipt & { state: string }> =>
    accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api))).body.receipt;
  const receiptOf = async ({ index }: Receipt, who = 'prescriber') =>
    accepted(await api.as(who).get(`/api/receipts/${index}`)).body as Receipt & { state: string };
  const witnessed = (receipt: Receipt) =>
    until(async () => (await receiptOf(receipt)).state === 'witnessed', { what: 'the receipt is witnessed' });
  const sees = async (who: string, receipt: Receipt) => (await receiptOf(receipt, who)).payload !== undefined;
  /** What `/log/checkpoint` serves, which is at quorum whenever there is any. */
  async function served(): Promise<number> {
    const file = await filesOf(api.address)('checkpoint');
    const { checkpoint, quorum } = openWitnessed(policy, fromUtf8(file!));
    expect(quorum.met).toBe(true);
    return checkpoint.size;
  }
  const ready = async () => {
    const { status, body } = await api.request.get('/health/ready');
    return { ready: status, ...body.witnesses };
  };
  const published = async () => (await api.request.get('/log/checkpoints?limit=1')).body.items[0];

  it('answers a write with a receipt that is committed, and later with one that is witnessed', async () => {
    const first = await write();
    expect(first.state).toBe('committed');
    expect(verifyReceipt(first, api.vkey)).toMatchObject({ ok: true, state: 'committed' });
    expect(verifyReceipt(first, policy)).toEqual({ ok: false, reason: 'quorum' });
    await witnessed(first);
    const later = await receiptOf(first);
    expect(verifyReceipt(later, policy)).toMatchObject({ ok: true, state: 'witnessed', index: first.index });
    expect([later.entry, later.payload, later.salt]).toEqual([first.entry, first.payload, first.salt]);
    expect(await served()).toBeGreaterThan(first.index);
    const { checkpoint } = parseTlogProof(fromUtf8((await filesOf(api.address)(`proof/${first.index}`))!));
    expect(openWitnessed(policy, checkpoint).quorum.met).toBe(true);
  });

  it('gives receipts to those who may read the chain, and payloads to those who may see them', async () => {
    const receipt = await write();
    const path = `/api/receipts/${receipt.index}`;
    expect(await receiptOf(receipt, 'patient')).toMatchObject({ payload: receipt.payload, salt: receipt.salt });
    const audited = await receiptOf(receipt, 'auditor');
    expect(audited).not.toHaveProperty('payload');
    expect(audited).not.toHaveProperty('salt');
    expect(verifyReceipt(audited, api.vkey)).toMatchObject({ ok: true, index: receipt.index });
    for (const who of ['prescriber2', 'pharmacist', 'pharmacist2', 'patient2'])
      expect([who, refusalOf(await api.as(who).get(path))]).toEqual([who, '404 ledger.chain-unknown']);
    expect(refusalOf(await api.as('admin').get(path))).toBe('404 ledger.chain-unknown');
    expect((await api.request.get(path)).body).toMatchObject({ code: 'access.unauthenticated' });
    for (const who of ['prescriber', 'auditor'])
      expect(refusalOf(await api.as(who).get('/api/receipts/9007199254740991'))).toBe('404 ledger.chain-unknown');
    for (const index of ['-1', '1.5', 'x', '9007199254740992', '%00'])
      expect(refusalOf(await api.as('auditor').get(`/api/receipts/${index}`))).toBe('400 request.invalid');
  });

  it('tells of a payload to its author, and of a patient’s own chain to nobody else', async () => {
    const issued = accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api))).body;
    const path = `/api/prescriptions/${issued.prescription.id}/claim`;
    const claimed = accepted(await api.as('pharmacist').post(path, { token: issued.token })).body.receipt;
    expect([await sees('pharmacist', claimed), await sees('pharmacist', issued.receipt)]).toEqual([true, false]);
    expect([await sees('prescriber', claimed), await sees('patient', claimed)]).toEqual([false, true]);
    const [own] = await api.db.query<{ idx: number }>('SELECT num AS idx FROM chain WHERE id = ?', [
      api.patients.patient,
    ]);
    for (const who of ['patient', 'prescriber', 'pharmacist', 'auditor'])
      expect([who, await sees(who, { index: own!.idx } as Receipt)]).toEqual([who, false]);
  });

  it('goes on with one witness down', async () => {
    await witnesses.get('w3')!.kill();
    const receipt = await write();
    await witnessed(receipt);
    await until(async () => (await ready()).failing === 'w3 unreachable');
    expect(await ready()).toMatchObject({ ready: 200, status: 'up', degraded: false });
  });

  it('with two down: writes go on, receipts stay committed, the served checkpoint stops, readiness says so', async () => {
    await until(async () => (await ready()).behind === 0);
    const before = await served();
    await witnesses.get('w2')!.kill();
    const receipt = await write();
    expect(receipt.state).toBe('committed');
    await until(async () => (await ready()).failing === 'w2 unreachable, w3 unreachable');
    await until(async () => (await published()).size > receipt.index);
    expect(await published()).toMatchObject({ witnessed: false });
    const { behind, ...state } = await ready();
    expect(state).toMatchObject({ ready: 200, status: 'up', degraded: true, alarm: false });
    expect(behind).toBeGreaterThan(0);
    expect(await served()).toBe(before);
    expect((await receiptOf(receipt)).state).toBe('committed');
    for (const path of [`proof/${receipt.index}`, `consistency/1/${receipt.index + 1}`])
      expect(await filesOf(api.address)(path)).toBeNull();
    for (const name of ['w2', 'w3']) await startOne(name);
    await witnessed(receipt);
    expect(verifyReceipt(await receiptOf(receipt), policy)).toMatchObject({ ok: true, state: 'witnessed' });
    await until(async () => (await ready()).failing === '');
    expect(await ready()).toMatchObject({ ready: 200, degraded: false });
  });

  it('is verified whole', async () => {
    await until(async () => (await ready()).behind === 0);
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });
});
