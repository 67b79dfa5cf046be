import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSqliteReadOnly, openWriter } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import type { Config } from '../../src/config/config.js';
import { EntryAudit } from '../../src/ledger/verify/entries.js';
import { readPage } from '../../src/ledger/verify/entry-pages.js';
import { Findings } from '../../src/ledger/verify/report.js';
import { makeBulkLog } from '../bench/bulk-log.js';
import { verifyReport } from '../attacks/parties.js';
import { temporaryFolder } from '../support/ledger.js';

const SIZE = 9300;
const folder = temporaryFolder();
let config: Config;

beforeAll(async () => {
  config = await makeBulkLog(folder.path, SIZE);
});
afterAll(() => folder.remove());

const verify = async () => (await verifyReport(folder.path, { entriesOnly: true })).report;

/** Changes the database, verifies it, and changes it back. */
async function tampered(sql: string, undo: string): Promise<string[]> {
  const source = await openWriter(config);
  await source.query(sql);
  const { findings } = await verify();
  await source.query(undo);
  await source.destroy();
  return findings.map(({ kind, table, where, what }) => `${kind} ${table} ${JSON.stringify(where)} ${what}`);
}

describe('a log that was made in bulk, as the benchmarks measure', () => {
  it('verifies, as long as it is', async () => {
    expect(await verify()).toMatchObject({ ok: true, size: SIZE, entries: SIZE, findings: [] });
  });

  it('is read in pages that give every entry', async () => {
    const source = await openSqliteReadOnly(config.sqliteFile);
    const audit = new EntryAudit([{ origin: 'x', from: 0 }], new Findings(), 'entry');
    const { idx, ends, bytes, leafTiles } = await readPage(dbOf(source), 256, 1024);
    expect([idx.length, idx[0], idx.at(-1), ends.at(-1), leafTiles.size]).toEqual([768, 256, 1023, bytes.length, 3]);
    const text = bytes.toString('latin1');
    for (const [at, end] of ends.entries()) audit.take(bytes, text, ends[at - 1] ?? 0, end);
    // The leaves of the page are those of its tiles.
    for (const { level, index, hashes } of audit.tree.takeFullTiles())
      if (level === 0) expect(hashes.equals(leafTiles.get(index + 1)!)).toBe(true);
    await source.destroy();
  });

  it.each<[string, string, string, unknown]>([
    [
      'an entry that was edited',
      `UPDATE entry SET entry = CAST(replace(CAST(entry AS TEXT), '"v":1', '"v":2') AS BLOB) WHERE idx = 5000`,
      `UPDATE entry SET entry = CAST(replace(CAST(entry AS TEXT), '"v":2', '"v":1') AS BLOB) WHERE idx = 5000`,
      'tampered entry {"index":5000} is not the entry that the tree holds',
    ],
    [
      'a seq that is text',
      `UPDATE entry SET seq = 'x' WHERE idx = 4100`,
      `UPDATE entry SET seq = 4 WHERE idx = 4100`,
      'tampered entry {"index":4100} column seq is not that of the entry',
    ],
    [
      'an entry that is text',
      `UPDATE entry SET entry = CAST(entry AS TEXT) WHERE idx = 8200`,
      `UPDATE entry SET entry = CAST(entry AS BLOB) WHERE idx = 8200`,
      'tampered entry {"index":8200} is not an entry',
    ],
    [
      'an entry that is gone',
      `UPDATE entry SET idx = -7 WHERE idx = 4097`,
      `UPDATE entry SET idx = 4097 WHERE idx = -7`,
      'missing entry {"index":4097} there is no such entry',
    ],
    [
      'a tile that is gone',
      `UPDATE tile SET level = -1 WHERE level = 1 AND idx = 0`,
      `UPDATE tile SET level = 1 WHERE level = -1 AND idx = 0`,
      'missing tile {"level":1,"index":0} there is no such tile',
    ],
  ])('shows %s', async (_, sql, undo, wanted) => {
    expect(await tampered(sql, undo)).toContain(wanted);
    expect((await verify()).ok).toBe(true);
  });
});
