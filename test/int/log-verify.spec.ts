import { randomUUID } from 'node:crypto';
import { copyFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openSqliteReadOnly, openWriter } from '../../src/database/data-source.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import { loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import type { Finding } from '../../src/ledger/verify/report.js';
import { Published } from '../../src/log/checkpoints/published.js';
import { Publisher } from '../../src/log/checkpoints/publisher.js';
import { count, openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';
import { until } from '../support/wait.js';

/** Sizes that are published; beyond one page of what `verify` reads at once. */
const SIZES = [0, 100, 300, 2100, 2200];
const ORIGIN = 'test.example/log';

/** The one finding about a published checkpoint. */
const finding = (where: number, what: string, kind = 'tampered'): Finding[] =>
  [{ kind, table: 'published', where: { size: where }, what }] as Finding[];

describe('verify and the published checkpoints', () => {
  const folder = temporaryFolder();
  const copy = join(folder.path, 'copy.sqlite');
  let config: Config;
  let key: LogKey;

  beforeAll(async () => {
    config = testConfig(folder.path, { PUBLISH_SECONDS: '0.05' });
    const ledger = await openTestLedger(config);
    const { writer, db } = ledger;
    const published = new Published(db);
    for (const [at, size] of SIZES.entries()) {
      const some = Array.from({ length: size - (SIZES[at - 1] ?? 0) }, () => count(randomUUID(), 1));
      await Promise.all(some.map((each) => writer.commit(each)));
      // Stopped before the next are written, so that nothing between is published.
      const publisher = new Publisher(config, new Clock(), writer, db, published);
      await publisher.onApplicationBootstrap();
      await until(() => published.reaches(size));
      await publisher.beforeApplicationShutdown();
    }
    await writer.commit(count(randomUUID(), 1));
    await ledger.close();
    key = new LogKey(ORIGIN, loadOrCreateKey(config.keysDir, 'log.key'));
  });
  afterAll(() => folder.remove());

  /** What is found after these statements on a copy, made as an operator with root would. */
  async function after(...statements: string[]): Promise<readonly Finding[]> {
    for (const end of ['', '-wal', '-shm']) rmSync(copy + end, { force: true });
    copyFileSync(config.sqliteFile, copy);
    const source = await openWriter(testConfig(dirname(copy), { DATABASE_URL: `sqlite:${copy}` }));
    for (const statement of statements) await source.query(statement);
    await source.destroy();
    const reader = await openSqliteReadOnly(copy);
    try {
      return (await verifyDatabase({ source: reader, vkey: key.vkey, vault: null, remembered: null, models: [] }))
        .findings;
    } finally {
      await reader.destroy();
    }
  }

  /** A checkpoint that the operator signs with the log's own key. */
  const signed = (size: number): string => key.checkpoint(size, new Uint8Array(32).fill(1));
  it('finds nothing when nothing was done', async () => {
    expect(await after()).toEqual([]);
    expect(await after('DELETE FROM published')).toEqual([]);
  });

  it.each<[string, () => string, Finding[]]>([
    [
      'a checkpoint of another tree',
      () => `UPDATE published SET checkpoint = '${signed(300)}' WHERE size = 300`,
      finding(300, 'the entries do not give the root that was published'),
    ],
    [
      'one of the empty tree',
      () => `UPDATE published SET checkpoint = '${signed(0)}' WHERE size = 0`,
      finding(0, 'the entries do not give the root that was published'),
    ],
    [
      "another row's checkpoint",
      () => 'UPDATE published SET checkpoint = (SELECT checkpoint FROM published WHERE size = 100) WHERE size = 300',
      finding(300, 'size is not the one that is signed'),
    ],
    [
      'a changed size',
      () => 'UPDATE published SET size = 301 WHERE size = 300',
      [
        ...finding(301, 'size is not the one that is signed'),
        ...finding(2100, 'previous is not the size of the one before'),
      ],
    ],
    [
      'a changed predecessor',
      () => 'UPDATE published SET previous = 99 WHERE size = 300',
      finding(300, 'previous is not the size of the one before'),
    ],
    [
      'a changed letter of a signature',
      () => "UPDATE published SET checkpoint = replace(checkpoint, '=' || char(10), 'A' || char(10)) WHERE size = 2100",
      finding(2100, "checkpoint is not signed by the log's key"),
    ],
    [
      'what is no text',
      () => "UPDATE published SET checkpoint = x'00' WHERE size = 2100",
      finding(2100, "checkpoint is not signed by the log's key"),
    ],
    [
      'a row taken out',
      () => 'DELETE FROM published WHERE size = 300',
      finding(300, 'a later one names it, but it is not there', 'missing'),
    ],
    [
      'the first row taken out',
      () => 'DELETE FROM published WHERE size = 0',
      finding(0, 'a later one names it, but it is not there', 'missing'),
    ],
    [
      'a row put in',
      () => `INSERT INTO published (size, previous, checkpoint, published_at) VALUES (200, 101, '${signed(200)}', 0)`,
      [
        ...finding(200, 'the entries do not give the root that was published'),
        ...finding(101, 'a later one names it, but it is not there', 'missing'),
        ...finding(300, 'previous is not the size of the one before'),
      ],
    ],
    [
      'one beyond the head',
      () =>
        `INSERT INTO published (size, previous, checkpoint, published_at) VALUES (9000, 2200, '${signed(9000)}', 0)`,
      finding(9000, 'stands beyond the log head'),
    ],
    [
      'one before the beginning',
      () => "INSERT INTO published (size, previous, checkpoint, published_at) VALUES (-5, -7, '', 0)",
      finding(-5, 'stands beyond the log head'),
    ],
  ])('names %s', async (_, sql, findings) => {
    expect(await after(sql())).toEqual(findings);
  });

  it('finds entries that were changed after they were published, though everything else was mended', async () => {
    const found = await after("UPDATE entry SET entry = x'00' WHERE idx = 50");
    expect(found.filter(({ table }) => table === 'published').map(({ where }) => where['size'])).toEqual([
      100, 300, 2100, 2200,
    ]);
  });

  // The other half of the truth: who has seen the newest knows better.
  it('cannot know of the newest that were taken out', async () => {
    expect(await after('DELETE FROM published WHERE size > 300')).toEqual([]);
  });

  it.each<[string, number]>([
    ['UPDATE served SET size = -1', 0],
    ['UPDATE served SET size = 2201', 0],
    ['UPDATE served SET size = 2202', 1],
    ['UPDATE served SET size = -2', 1],
    ["UPDATE served SET size = 'x'", 1],
    ['UPDATE served SET size = 1.5', 1],
    ['DELETE FROM served', 1],
    ['INSERT INTO served (id, size) VALUES (2, 1)', 1],
  ])('of what was served: %s', async (sql, findings) => {
    const served = { kind: 'tampered', table: 'served', where: {}, what: 'is not one size that the log has reached' };
    expect(await after(sql)).toEqual(Array.from({ length: findings }, () => served));
  });

  it.each(['previous', 'checkpoint', 'published_at'])('never throws, whatever column %s holds', async (column) => {
    for (const value of ["''", "'x'", '-2', '1e300', '9223372036854775807', "x''", "CAST(x'ff' AS TEXT)"]) {
      const found = await after(`UPDATE published SET ${column} = ${value} WHERE size = 300`);
      // When it was published is the word of the server.
      const expected = column === 'published_at' ? [] : [expect.objectContaining({ table: 'published' })];
      expect([value, found]).toEqual([value, expected]);
    }
  });
});
