import { randomUUID } from 'node:crypto';
import { Worker } from 'bullmq';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/cli/terminal.js';
import { Clock } from '../../src/time/clock.js';
import { ConfigError } from '../../src/config/config.js';
import { Published } from '../../src/log/checkpoints/published.js';
import { LOCK_MS } from '../../src/log/checkpoints/rounds-queue.js';
import { ServedCheckpoint } from '../../src/log/checkpoints/served.js';
import { Witnessing } from '../../src/log/checkpoints/witness-readiness.js';
import { serve, type Service } from '../../src/main.js';
import { queueName } from '../../src/queue/queue-name.js';
import { redisProgram, sharedPostgres } from '../support/engines.js';
import { count, openFiles, openTestLedger, tellsOpenFiles, temporaryFolder, testConfig } from '../support/ledger.js';
import { rounds } from '../support/length.js';
import { startNode } from '../support/process.js';
import { startRedis } from '../support/redis.js';
import { until } from '../support/wait.js';
import { logVkey, writePolicy } from '../support/witnesses.js';
import { closers, honest, liar, linesOf, noteIn } from './rounds-support.js';

const program = await redisProgram();
const postgres = await sharedPostgres();
const logger = pino({ level: 'silent' });

/** A policy of one witness, and workers on one database that follow it. */
async function start(processes: number, witness: Awaited<ReturnType<typeof honest>>, env: Record<string, string>) {
  const folder = temporaryFolder();
  closers.push(() => folder.remove());
  const policy = writePolicy(folder.path, logVkey(folder.path), [witness], 1);
  const all = { PUBLISH_SECONDS: '0.1', ROLE: 'worker', WITNESS_POLICY: policy, ...env };
  const config = testConfig(folder.path, all);
  const ledger = await openTestLedger(testConfig(folder.path, env));
  closers.push(() => ledger.close());
  const services: Service[] = [];
  for (let at = 0; at < processes; at++) {
    const service = await serve(config, new Clock(), logger);
    closers.push(() => service.close());
    services.push(service);
  }
  const [first] = services as [Service];
  const servedSize = async () => (await first.app.get(ServedCheckpoint).newest())?.size ?? -1;
  const add = () => ledger.writer.commit(count(randomUUID(), 1));
  return { ledger, services, first, servedSize, add };
}

describe.skipIf(program.missing)('rounds as jobs', () => {
  it('go on after a Redis that was away and came back empty', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const { first, servedSize, add } = await start(1, await honest(1), { REDIS_URL: redis.url });
    await add();
    await until(async () => (await servedSize()) === 1);
    await redis.kill();
    await add();
    await until(() => first.app.get(Published).reaches(2));
    expect(await servedSize()).toBe(1);
    const state = () => first.app.get(Witnessing).state(Date.now() + 60_000);
    expect(await state()).toMatchObject({ up: true, degraded: true, behind: 1, failing: '' });
    await redis.start(true);
    await until(async () => (await servedSize()) === 2);
    await redis.flush();
    await add();
    await until(async () => (await servedSize()) === 3);
    expect(await state()).toMatchObject({ up: true, degraded: false, behind: 0 });
  });

  it('end with the process though Redis is away', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const { first, servedSize, add } = await start(1, await honest(1), { REDIS_URL: redis.url });
    await add();
    await until(async () => (await servedSize()) === 1);
    await redis.kill();
    const began = Date.now();
    await first.close();
    expect(Date.now() - began).toBeLessThan(15_000);
  });

  it('go on after a process that died in the midst of one', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const one = await start(1, await honest(1), { REDIS_URL: redis.url });
    await one.add();
    await until(async () => (await one.servedSize()) === 1);
    // Takes a round as a worker does, and is not heard of again.
    const dead = new Worker(queueName(one.ledger.writer.origin, 'witnesses'), null, {
      connection: { url: redis.url, maxRetriesPerRequest: null },
      // The short form waits for a shorter one: the others look for jobs without a lock as often.
      lockDuration: rounds(1000, LOCK_MS),
    });
    closers.push(() => dead.close(true));
    await until(() => dead.getNextJob('dead', { block: false }));
    await one.add();
    expect(await until(async () => (await one.servedSize()) === 2, { timeout: 40_000 })).toBe(true);
  });

  it.skipIf(postgres.missing)('of two processes are one at a time, and store nothing twice', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    let [now, most] = [0, 0];
    const witness = await liar(1, ({ body, response }) => {
      most = Math.max(most, ++now);
      // Long enough for the other process to begin, if it would.
      setTimeout(() => {
        now--;
        response.end(linesOf(noteIn(body), 1));
      }, 150);
    });
    const env = { REDIS_URL: redis.url, DATABASE_URL: await postgres.createDatabase() };
    const { ledger, servedSize, add } = await start(2, witness, env);
    for (let size = 1; size <= 8; size++) {
      await add();
      await until(async () => (await servedSize()) >= size);
    }
    expect(most).toBe(1);
    expect(new Set(witness.submissions).size).toBe(witness.submissions.length);
    const rows = await ledger.db.query<{ n: number; sizes: number }>(
      'SELECT count(*) AS n, count(DISTINCT size) AS sizes FROM cosignature',
    );
    expect(rows[0]?.n).toBe(rows[0]?.sizes);
    expect(rows[0]?.n).toBe(witness.submissions.length);
  });
});

describe('a service with a policy', () => {
  it('that is not for its log does not start', async () => {
    const [folder, other] = [temporaryFolder(), temporaryFolder()];
    const policy = writePolicy(folder.path, logVkey(other.path), [await honest(1)], 1);
    for (const ROLE of ['worker', 'all']) {
      const config = testConfig(folder.path, { ROLE, PORT: '0', WITNESS_POLICY: policy });
      await expect(serve(config, new Clock(), logger)).rejects.toThrow(ConfigError);
      // The ledger was open by then.
      if (tellsOpenFiles) expect(openFiles(folder.path)).toEqual([]);
    }
    // Nor does its process stay, whatever connections it has begun.
    const env = { DATA_DIR: folder.path, WITNESS_POLICY: policy, REDIS_URL: 'redis://127.0.0.1:1' };
    const refused = startNode('bin/rxledger.js', ['serve'], { env });
    closers.push(() => refused.kill());
    await refused.line(/settings: WITNESS_POLICY: its log line is not the verifier key of this log/);
    expect(await refused.ended).toEqual({ code: EXIT.outage, signal: null });
    for (const each of [folder, other]) each.remove();
  });
});
