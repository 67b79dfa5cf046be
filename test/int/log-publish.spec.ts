import { ReadDb } from '../../src/ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { afterEach, describe, expect, it } from 'vitest';
import { Clock, SettableClock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { storedRootAt } from '../../src/ledger/store/tip.js';
import { Published } from '../../src/log/checkpoints/published.js';
import { Publisher } from '../../src/log/checkpoints/publisher.js';
import { serve } from '../../src/main.js';
import { bothEngines } from '../support/engines.js';
import { count, openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';
import { fillLog } from '../support/log.js';
import { until } from '../support/wait.js';

// One test provokes a warning.
Logger.overrideLogger(false);

const PERIOD = 50;
const EVERY = { PUBLISH_SECONDS: String(PERIOD / 1000) };

interface Row {
  size: number;
  previous: number;
  checkpoint: string;
  published_at: number;
}

const rowsOf = ({ db }: { db: ReadDb }): Promise<Row[]> =>
  db.query<Row & object>('SELECT * FROM published ORDER BY size');

describe.each(await bothEngines())('publishing on $engine', ({ missing, database }) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });

  async function open(env: Record<string, string> = EVERY): Promise<{ config: Config; ledger: Ledger }> {
    const folder = temporaryFolder();
    closers.push(() => folder.remove());
    const config = testConfig(folder.path, { ...(await database()), ...env });
    const ledger = await openTestLedger(config);
    closers.push(() => ledger.close());
    return { config, ledger };
  }

  /** A process that publishes to that log, as far as the publisher can tell. */
  function publisher(config: Config, { writer, db }: Ledger): Publisher {
    const one = new Publisher(config, new Clock(), writer, db, new Published(db));
    closers.push(() => one.beforeApplicationShutdown());
    return one;
  }

  it.skipIf(missing)('begins with an empty log and then follows it, each checkpoint signing its tree', async () => {
    const { config, ledger } = await open();
    await publisher(config, ledger).onApplicationBootstrap();
    expect(await rowsOf(ledger)).toMatchObject([{ size: 0, previous: -1 }]);
    const published = new Published(ledger.db);
    for (let size = 1; size <= 3; size++) {
      await ledger.writer.commit(count(randomUUID(), 1));
      await until(() => published.reaches(size), { what: `${size} entries published` });
    }
    const rows = await rowsOf(ledger);
    expect(rows.map(({ size, previous }) => [size, previous])).toEqual([
      [0, -1],
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
    for (const { size, checkpoint } of rows) {
      const root = Buffer.from(await storedRootAt(ledger.db, size));
      expect(openCheckpoint(checkpoint, ledger.writer.vkey)).toMatchObject({ size, root: Uint8Array.from(root) });
    }
    expect(await published.page(3, 2)).toMatchObject([{ size: 2 }, { size: 1 }]);
  });

  it.skipIf(missing)('of several processes is one row at a time, no sooner than one of them would', async () => {
    const { config, ledger } = await open();
    const others = [await openTestLedger(config), await openTestLedger(config)];
    closers.push(...others.map((other) => () => other.close()));
    // They have different paces, so that they do not look at the same moments.
    const all = [ledger, ...others].map((each, at) =>
      publisher(testConfig(config.dataDir, { PUBLISH_SECONDS: String((PERIOD + 17 * at) / 1000) }), each),
    );
    await Promise.all(all.map((each) => each.onApplicationBootstrap()));
    expect(await rowsOf(ledger)).toMatchObject([{ size: 0, previous: -1 }]);
    const rows = await until(async () => {
      await ledger.writer.commit(count(randomUUID(), 1));
      const soFar = await rowsOf(ledger);
      return soFar.length > 8 ? soFar : null;
    });
    for (const [at, row] of rows.entries()) {
      const before = rows[at - 1];
      expect(row.previous).toBe(before?.size ?? -1);
      // Instants are cut to the millisecond.
      if (before) expect(row.published_at - before.published_at).toBeGreaterThanOrEqual(PERIOD - 2);
    }
  });

  it.skipIf(missing)('waits its turn after a restart, and does nothing at the end', async () => {
    const { config, ledger } = await open({ PUBLISH_SECONDS: '86400' });
    const first = publisher(config, ledger);
    await first.onApplicationBootstrap();
    await ledger.writer.commit(count(randomUUID(), 1));
    await first.beforeApplicationShutdown();
    await publisher(config, ledger).onApplicationBootstrap();
    expect(await rowsOf(ledger)).toHaveLength(1);
    await publisher(testConfig(config.dataDir, EVERY), ledger).onApplicationBootstrap();
    expect(await rowsOf(ledger)).toHaveLength(1);
    await until(async () => (await rowsOf(ledger)).length === 2);
  });

  it.skipIf(missing)('goes on after a database that would not take it', async () => {
    const { config, ledger } = await open();
    await ledger.writer.side((db) => db.query('ALTER TABLE published RENAME TO away'));
    await publisher(config, ledger).onApplicationBootstrap();
    await ledger.writer.side((db) => db.query('ALTER TABLE away RENAME TO published'));
    const [row] = await until(async () => {
      const rows = await rowsOf(ledger);
      return rows.length > 0 ? rows : null;
    });
    expect(row).toMatchObject({ size: 0, previous: -1 });
  });
});

describe('publishing', () => {
  it.each(['worker', 'api', 'all'])('is done with ROLE=%s', async (ROLE) => {
    const folder = temporaryFolder();
    await fillLog(folder.path, 3);
    const service = await serve(
      testConfig(folder.path, { ...EVERY, ROLE, PORT: '0', NODE_ENV: 'test' }),
      new SettableClock(Date.now()),
    );
    const published = new Published(service.app.get(ReadDb));
    expect(await published.reaches(3)).toBe(true);
    await service.close();
    folder.remove();
  });
});
