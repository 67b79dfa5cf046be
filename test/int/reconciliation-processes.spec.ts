import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localDate } from '../../src/time/legal-days.js';
import { issue, report, ZONE } from '../support/domain.js';
import { redisProgram, sharedPostgres } from '../support/engines.js';
import { startRedis, type TestRedis } from '../support/redis.js';
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
const postgres = await sharedPostgres();
const PATIENTS = 20;

describe.skipIf(program.missing ?? postgres.missing)('two processes on one PostgreSQL and one Redis', () => {
  let redis: TestRedis;
  let folder: Awaited<ReturnType<typeof newDataDir>>;
  let processes: Running[];

  beforeAll(async () => {
    redis = await startRedis();
    folder = await newDataDir();
    const env = { REDIS_URL: redis.url, SWEEP_SECONDS: '0.2', DATABASE_URL: await postgres.createDatabase() };
    const now = Date.now();
    processes = [await start(folder.dataDir, env, now), await start(folder.dataDir, env, now)];
  });
  afterAll(async () => {
    for (const running of processes) await running.close();
    await redis.stop();
    await folder.remove();
  });

  it('both follow and both judge: each discrepancy is recorded once', async () => {
    const [one, two] = processes as [Running, Running];
    const writtenOn = localDate(Date.now(), ZONE);
    const patients = await Promise.all(Array.from({ length: PATIENTS }, (_, i) => enrol(i % 2 === 0 ? one : two)));
    await Promise.all(
      patients.map(async (patient, i) => {
        const name = { issuer: 'practice', number: `p${i}` };
        const target = { number: `p${i}`, patient };
        await tell(one, target, issue({ name, patient, writtenOn }));
        await Promise.all([
          tell(one, target, report('30', `${i}-one`, { order: name })),
          tell(two, target, report('30', `${i}-two`, { order: name })),
          tell(two, { supply: crypto.randomUUID() }, report('30', `${i}-orphan`, { order: null })),
        ]);
      }),
    );
    await settled(one);
    await settled(two);
    expect(await unjudged(one)).toBe(0);
    for (const patient of patients) {
      const events = await discrepancyEvents(two, patient);
      expect(events.map(({ type, data }) => [type, data['class']])).toEqual([['discrepancy.opened/1', 'D07']]);
    }
    const orphans = await one.db.query<{ n: number }>(
      "SELECT count(*) AS n FROM discrepancy_row WHERE class = 'D12' AND status = 'open'",
    );
    expect(orphans[0]?.n).toBe(PATIENTS);
  });
});
