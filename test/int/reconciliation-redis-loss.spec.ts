import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issue, report } from '../support/domain.js';
import { redisProgram } from '../support/engines.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/wait.js';
import {
  discrepancyEvents,
  enrol,
  newDataDir,
  type Running,
  settled,
  start,
  tell,
  unjudged,
} from './reconciliation-support.js';

const program = await redisProgram();
const PATIENTS = 50;
/** An order, and nine reports of which the second already is too much: each report is another discrepancy. */
const WRITES_EACH = 10;

describe.skipIf(program.missing)('Redis that is lost', () => {
  let redis: TestRedis;
  let folder: Awaited<ReturnType<typeof newDataDir>>;
  let running: Running;

  beforeAll(async () => {
    redis = await startRedis();
    folder = await newDataDir();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '1' });
  });
  afterAll(async () => {
    await running.close();
    await redis.stop();
    await folder.remove();
  });

  /** The n-th of a patient's writes. */
  const write = async (patient: string, number: string, n: number) => {
    const name = { issuer: 'practice', number };
    const target = { number, patient };
    if (n === 0) await tell(running, target, issue({ name, patient }));
    else await tell(running, target, report('30', `${number}-${n}`, { order: name, issue: null }));
  };

  /** Every entry judged once at least, and its discrepancies recorded once exactly. */
  const expectJudgedOnce = async (patients: readonly string[]) => {
    await settled(running);
    expect(await unjudged(running)).toBe(0);
    for (const patient of patients) {
      const events = await discrepancyEvents(running, patient);
      const opened = events
        .filter(({ type }) => type === 'discrepancy.opened/1')
        .map(({ data }) => data['id'] as string);
      const gone = events
        .filter(({ type }) => type === 'discrepancy.resolved/1')
        .map(({ data }) => data['id'] as string);
      expect(new Set(opened).size, 'none is opened twice').toBe(opened.length);
      expect(new Set(gone).size, 'none is resolved twice').toBe(gone.length);
      const open = opened.filter((id) => !gone.includes(id));
      // All nine reports in one over-dispense; and eight fills that came on the day of the one before.
      expect(
        open.filter((id) => id.startsWith('D07')),
        'the last over-dispense',
      ).toHaveLength(1);
      expect(
        open.filter((id) => id.startsWith('D13')),
        'the early refills',
      ).toHaveLength(WRITES_EACH - 2);
      const last = events.findLast(({ type, data }) => type === 'discrepancy.opened/1' && data['class'] === 'D07');
      expect(last?.data['evidence']).toMatchObject({ dispensed: '270' });
    }
  };

  it('stopped during 500 writes, then started empty: every event is reconciled, none twice', async () => {
    const patients: string[] = [];
    for (let i = 0; i < PATIENTS; i++) patients.push(await enrol(running));
    for (let n = 0; n < WRITES_EACH; n++) {
      if (n === 3) await redis.kill();
      // While Redis is away no write waits for it.
      await Promise.all(patients.map((patient, i) => write(patient, `a${i}`, n)));
      if (n === 5) expect(await running.workers.lag()).toBeGreaterThan(0);
      if (n === 7) await redis.start(true);
    }
    await expectJudgedOnce(patients);
  });

  it('emptied after it took jobs over: the sweep finds what they would have judged', async () => {
    await running.close();
    running = await start(folder.dataDir, { SWEEP_SECONDS: '1' });
    const patients = [await enrol(running), await enrol(running)];
    for (let n = 0; n < WRITES_EACH; n++) await Promise.all(patients.map((patient, i) => write(patient, `b${i}`, n)));
    // As if they had been handed over.
    await running.writer.side((db) =>
      db.query("UPDATE relay_cursor SET next = (SELECT size FROM log_head) WHERE name = 'reconcile'"),
    );
    expect(await running.workers.lag()).toBe(0);
    expect(await unjudged(running)).toBe(2);
    await running.close();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '1' });
    await expectJudgedOnce(patients);
  });

  it('away at the start: the service starts, and reconciles once Redis comes', async () => {
    await running.close();
    await redis.halt();
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '1' });
    const patient = await enrol(running);
    for (let n = 0; n < WRITES_EACH; n++) await write(patient, 'c', n);
    await redis.start(true);
    await expectJudgedOnce([patient]);
  });

  it('away at the end: the service ends', async () => {
    await redis.halt();
    await running.close();
    await redis.start(true);
    running = await start(folder.dataDir, { REDIS_URL: redis.url, SWEEP_SECONDS: '1' });
    expect(await until(async () => (await running.workers.lag()) === 0, { what: 'a relay that follows again' })).toBe(
      true,
    );
  });
});
