import { EventEmitter, once } from 'node:events';
import { Queue } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { queueName } from '../../src/queue/queue-name.js';
import { Reconciler } from '../../src/reconciliation/reconciler.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { issue, report } from '../support/domain.js';
import { redisProgram } from '../support/engines.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/wait.js';
import {
  discrepancies,
  enrol,
  newDataDir,
  type Running,
  settled,
  start,
  tell,
  unjudged,
} from './reconciliation-support.js';

const program = await redisProgram();
const NAME = { issuer: 'practice', number: 'n' };

describe.skipIf(program.missing)('jobs', () => {
  let redis: TestRedis;
  let folder: Awaited<ReturnType<typeof newDataDir>>;
  let running: Running;
  let queue: Queue;

  beforeEach(async () => {
    redis = await startRedis();
    folder = await newDataDir();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '3600' });
    queue = new Queue(queueName(running.writer.origin, 'reconcile'), { connection: { url: redis.url } });
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await queue.close();
    await running.close();
    await redis.stop();
    await folder.remove();
  });

  const overDispense = async () => {
    const patient = await enrol(running);
    await tell(running, { number: 'n', patient }, issue({ name: NAME, patient }));
    await tell(running, { number: 'n', patient }, report('60', 'too much', { order: NAME }));
    return patient;
  };
  /** Lets retries that wait for their time run now. */
  const hurry = async () => {
    for (const job of await queue.getDelayed()) await job.promote().catch(() => undefined);
  };

  const pending = () => queue.getJobCountByTypes('wait', 'active', 'delayed');

  it('a job that fails again and again ends in the dead-letter view, says nothing about anybody, and can be retried', async () => {
    const reconcile = vi.spyOn(running.app.get(Reconciler), 'reconcile');
    reconcile.mockRejectedValue(new TypeError('Jane Doe, 20 tablets'));
    const patient = await overDispense();
    await until(
      async () => {
        await hurry();
        return (await running.jobs.failed({ limit: 10 })).items.length > 0 && (await pending()) === 0;
      },
      { what: 'a dead letter' },
    );
    const { items: failed } = await running.jobs.failed({ limit: 10 });
    for (const job of failed) {
      expect(job).toMatchObject({ queue: 'reconcile', subject: 1, attempts: 6, reason: 'TypeError' });
    }
    expect(JSON.stringify((await queue.getFailed()).map((job) => job.toJSON()))).not.toMatch(/Jane|tablets/);

    // The sweep leaves it to whoever looks at the view.
    const calls = reconcile.mock.calls.length;
    await running.workers.sweepOnce();
    expect(await pending()).toBe(0);
    expect(reconcile).toHaveBeenCalledTimes(calls);
    expect(await running.workers.settled()).toBe(false);

    reconcile.mockRestore();
    expect(await running.jobs.retry('reconcile.nonsense')).toBe(false);
    for (const never of ['reconcile.0', 'reconcile.01', 'reconcile.999999', 'timers.1']) {
      expect([never, await running.jobs.retry(never)]).toEqual([never, false]);
    }
    // Repeated at once, one after the other, and when the job is done and gone.
    for (const { id } of failed) {
      expect(await Promise.all([running.jobs.retry(id), running.jobs.retry(id)])).toEqual([true, true]);
      expect(await running.jobs.retry(id)).toBe(true);
    }
    await settled(running);
    for (const { id } of failed) expect(await running.jobs.retry(id)).toBe(true);
    await settled(running);
    expect(await discrepancies(running, patient)).toMatchObject([{ class: 'D07', status: 'open' }]);
    expect(await running.jobs.failed({ limit: 10 })).toEqual({ items: [], next: null });
  });

  it('a subject whose job is dead does not hold the sweep back, and is found again when Redis forgets it', async () => {
    const reconciler = running.app.get(Reconciler);
    const judge = reconciler.reconcile.bind(reconciler);
    const reconcile = vi.spyOn(reconciler, 'reconcile');
    reconcile.mockImplementation((subject) => (subject === 1 ? Promise.reject(new TypeError()) : judge(subject)));
    const patient = await overDispense();
    await until(
      async () => {
        await hurry();
        return (await running.jobs.failed({ limit: 10 })).items.length > 0 && (await pending()) === 0;
      },
      { what: 'a dead letter' },
    );
    const healthy = await enrol(running);
    await tell(running, { number: 'm', patient: healthy }, issue({ name: { ...NAME, number: 'm' }, patient: healthy }));
    await until(
      async () => (await running.workers.lag()) === 0 && (await pending()) === 0 && (await unjudged(running)) === 1,
      {
        what: 'everything else judged',
      },
    );
    const cursors = async () =>
      running.db.query<{ name: string; next: number }>('SELECT name, next FROM relay_cursor ORDER BY name');
    await running.workers.sweepOnce();
    const [{ size } = { size: -1 }] = await running.db.query<{ size: number }>('SELECT size FROM log_head');
    expect(await cursors()).toEqual([
      { name: 'judged', next: size },
      { name: 'reconcile', next: size },
    ]);
    expect(await running.workers.settled()).toBe(false);

    reconcile.mockRestore();
    await redis.flush();
    await running.close();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '1' });
    await settled(running);
    expect(await unjudged(running)).toBe(0);
    expect(await discrepancies(running, patient)).toMatchObject([{ class: 'D07', status: 'open' }]);
  });

  it('an outage of the database costs no attempt', async () => {
    const reconcile = vi.spyOn(running.app.get(Reconciler), 'reconcile');
    reconcile.mockRejectedValue(new LedgerUnavailable('away'));
    const patient = await overDispense();
    await until(
      async () => {
        await hurry();
        return reconcile.mock.calls.length > 10;
      },
      { what: 'more tries than a job has attempts' },
    );
    expect(await running.jobs.failed({ limit: 10 })).toEqual({ items: [], next: null });
    reconcile.mockRestore();
    await until(
      async () => {
        await hurry();
        return running.workers.settled();
      },
      { what: 'the book judged' },
    );
    expect(await discrepancies(running, patient)).toMatchObject([{ class: 'D07' }]);
  });

  it('a running job finishes before the process ends', async () => {
    const gate = new EventEmitter();
    const held = once(gate, 'open');
    const reconciler = running.app.get(Reconciler);
    const judge = reconciler.reconcile.bind(reconciler);
    const reconcile = vi.spyOn(reconciler, 'reconcile').mockImplementation(async (subject) => {
      await held;
      await judge(subject);
    });
    const patient = await overDispense();
    await until(() => reconcile.mock.calls.length > 0, { what: 'a running job' });
    const closed = running.close();
    gate.emit('open');
    await closed;
    expect(await queue.getJobCountByTypes('active', 'failed')).toBe(0);

    running = await start(folder.dataDir, {});
    expect(await discrepancies(running, patient)).toMatchObject([{ class: 'D07', status: 'open' }]);
  });

  it('an API process follows nothing and runs nothing', async () => {
    await running.close();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, ROLE: 'api' });
    await overDispense();
    expect(await running.workers.lag()).toBeGreaterThan(0);
    expect(await running.workers.settled()).toBe(false);
    expect(await queue.getWorkers()).toEqual([]);
  });
});
