import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cancel, issue, PHARMACY_A, report } from '../support/domain.js';
import { redisProgram } from '../support/engines.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/wait.js';
import {
  discrepancies,
  discrepancyEvents,
  enrol,
  match,
  newDataDir,
  NOW,
  type Running,
  settled,
  start,
  subjectOf,
  tell,
  unjudged,
} from './reconciliation-support.js';

const program = await redisProgram();
const order = (number: string) => ({ name: { issuer: 'practice', number } });

describe.skipIf(program.missing)('reconciliation', () => {
  let redis: TestRedis;
  let running: Running;
  let folder: Awaited<ReturnType<typeof newDataDir>>;

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

  const open = async (patient: string) =>
    (await discrepancies(running, patient)).filter(({ status }) => status === 'open').map((found) => found.class);

  it('records each class on the patient chain, and says gone when the book agrees again', async () => {
    const patient = await enrol(running);
    const late = { number: 'late', patient };
    await tell(running, late, issue({ ...order('late'), patient }));
    await tell(running, late, cancel(order('late')));
    await tell(
      running,
      late,
      report(
        '30',
        'after-cancel',
        { whenHandedOver: '2026-01-15T17:01:01.000Z' },
        PHARMACY_A,
        '2026-01-15T17:05:00.000Z',
      ),
    );
    const much = { number: 'much', patient };
    await tell(running, much, issue({ ...order('much'), patient }));
    await tell(running, much, report('60', 'too-much'));
    const early = { number: 'early', patient };
    await tell(running, early, issue({ ...order('early'), patient, refills: 1 }));
    await tell(running, early, report('30', 'first', { whenHandedOver: '2026-01-02T12:00:00.000Z' }));
    await tell(running, early, report('30', 'second', { issue: 1, whenHandedOver: '2026-01-10T12:00:00.000Z' }));
    await settled(running);
    expect((await open(patient)).toSorted()).toEqual(['D03', 'D07', 'D13']);
    expect(await unjudged(running)).toBe(0);
  });

  it('opens a chain for a provisional patient, and empties it when the supply is matched', async () => {
    const supply = randomUUID();
    await tell(running, { supply }, report('30', 'orphan', { order: null }));
    const provisional = await subjectOf(running, supply);
    await settled(running);
    expect(await open(provisional)).toEqual(['D12']);

    const patient = await enrol(running);
    const rx = await tell(running, { number: 'found', patient }, issue({ ...order('found'), patient }));
    await match(running, supply, rx, patient);
    await settled(running);
    expect(await open(provisional)).toEqual([]);
    expect(await open(patient)).toEqual([]);
    expect((await discrepancyEvents(running, provisional)).map(({ type }) => type)).toEqual([
      'discrepancy.opened/1',
      'discrepancy.resolved/1',
    ]);
  });

  it('forgets an orphan when its order arrives', async () => {
    const patient = await enrol(running);
    const rx = await tell(
      running,
      { number: 'late-order', patient },
      report('30', 'before', { order: { issuer: 'practice', number: 'late-order' } }),
    );
    await settled(running);
    expect(await open(patient)).toEqual(['D12']);
    expect(await tell(running, { number: 'late-order', patient }, issue({ ...order('late-order'), patient }))).toBe(rx);
    await settled(running);
    expect(await open(patient)).toEqual([]);
  });

  it('converges: its own entries lead to no further ones', async () => {
    await settled(running);
    const size = async () => (await running.db.query<{ size: number }>('SELECT size FROM log_head'))[0]?.size;
    const before = await size();
    const subjects = await running.db.query<{ num: number }>('SELECT num FROM subject');
    await running.jobs.reconcile(subjects.map(({ num }) => num));
    await running.workers.sweepOnce();
    await settled(running);
    expect(await size()).toBe(before);
  });

  it('moves a future issue to ready and ends validity, by the clock', async () => {
    const patient = await enrol(running);
    const rx = await tell(
      running,
      { number: 'series', patient },
      issue({ ...order('series'), patient, earliestFillOn: '2026-02-01' }),
    );
    const status = async () =>
      (
        await running.db.query<{ issue_status: string; order_status: string }>(
          'SELECT p.issue_status, p.order_status FROM prescription_row p JOIN chain c ON c.num = p.chain WHERE c.id = ?',
          [rx],
        )
      )[0];
    expect(await status()).toEqual({ issue_status: 'future', order_status: 'active' });
    try {
      running.clock.set(Date.parse('2026-02-01T05:00:00.000Z'));
      await until(async () => (await status())?.issue_status === 'ready', { what: 'the first fill day' });
      running.clock.set(Date.parse('2027-01-16T05:00:00.000Z'));
      await until(async () => (await status())?.order_status === 'stopped', { what: 'the end of validity' });
    } finally {
      running.clock.set(Math.max(Date.parse(NOW), running.clock.now()));
    }
  });

  it('schedules its sweeps again in an emptied Redis', async () => {
    await redis.flush();
    const patient = await enrol(running);
    const rx = await tell(
      running,
      { number: 'again', patient },
      issue({ ...order('again'), patient, writtenOn: '2027-01-16', earliestFillOn: '2027-02-01' }),
    );
    running.clock.set(Date.parse('2027-02-01T05:00:00.000Z'));
    const swept = await until(
      async () =>
        (
          await running.db.query<{ s: string }>(
            'SELECT p.issue_status AS s FROM prescription_row p JOIN chain c ON c.num = p.chain WHERE c.id = ?',
            [rx],
          )
        )[0]?.s === 'ready',
      { what: 'a sweep' },
    );
    expect(swept).toBe(true);
  });
});
