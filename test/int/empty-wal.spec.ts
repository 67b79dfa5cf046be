import { statSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { openFolder, openWriter } from '../../src/database/data-source.js';
import { emptyWal } from '../../src/ledger/upkeep/complete-erasures.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';

/** Less than the writer folds by itself; it takes about 100 ms to fold. */
const PAGES = 12_000;
const folder = temporaryFolder();
afterAll(() => folder.remove());

it('the write-ahead log is emptied while a service folds it', async () => {
  const config = testConfig(folder.path);
  const writer = await openWriter(config);
  const beside = await openFolder(writer);
  try {
    await writer.query('CREATE TABLE t (body blob)');
    await writer.query(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO t SELECT randomblob(3900) FROM n`,
      [PAGES],
    );
    const [folded, emptied] = await Promise.all([
      beside.query<{ checkpointed: number }[]>('PRAGMA wal_checkpoint(PASSIVE)'),
      emptyWal(config),
    ]);
    expect(folded[0]?.checkpointed).toBeGreaterThan(PAGES);
    expect(emptied).toBe(true);
    expect(statSync(`${config.sqliteFile}-wal`).size).toBe(0);
  } finally {
    await beside.destroy();
    await writer.destroy();
  }
});
