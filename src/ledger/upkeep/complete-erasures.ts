/** The parts of an erasure that read too much to run while writers wait for the log's head. */
import type { Config } from '../../config/config.js';
import { openWriter } from '../../database/data-source.js';
import { type Db, dbOf, placeholders } from '../../database/db.js';
import type { LedgerWriter } from '../ledger.writer.js';
import { FORGOTTEN, requestRow } from '../store/remembered-requests.js';
import type { Vault } from '../keys/vault.js';

/** Remembered requests that are read together. */
const PAGE = 2000;
/** Attempts to empty the write-ahead log; how long each waits for readers, and the pause between two, ms. */
const EMPTYINGS = 20;
const READER_MS = 200;
const PAUSE_MS = 100;

interface RequestRow {
  key: Buffer;
  first: number;
  count: number;
  chains: string;
  used_at: number | null;
}

/**
 * For requests about erased chains, removes everything remembered except the idempotency key. With the MAC of the
 * content, whoever holds `index.key` could test guesses of it. Repeats are still recognised.
 * @returns number of requests that were reduced now
 */
export async function forgetRequests(db: Db, vault: Vault, writer: LedgerWriter): Promise<number> {
  const [any] = await db.query('SELECT 1 AS n FROM erasure LIMIT 1');
  if (!any) return 0;
  let forgotten = 0;
  for (let after: Buffer = Buffer.alloc(0); ;) {
    const rows = await db.query<RequestRow & { request: Buffer }>(
      'SELECT key, request, first, count, chains, used_at FROM idempotency WHERE key > ? ORDER BY key LIMIT ?',
      [after, PAGE],
    );
    const remembered = rows.filter(({ request }) => !request.subarray(0, FORGOTTEN.length).equals(FORGOTTEN));
    const gone = await erasedAmong(db, remembered);
    if (gone.length > 0) await writer.side((tx) => forget(tx, vault, gone));
    forgotten += gone.length;
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return forgotten;
    after = last.key;
  }
}

async function erasedAmong<T extends RequestRow>(db: Db, rows: readonly T[]): Promise<T[]> {
  if (rows.length === 0) return [];
  const erased = await db.query<{ idx: number }>(
    `SELECT e.idx FROM entry e JOIN chain c ON c.num = e.chain
     WHERE length(c.data_key) = 0 AND e.idx IN ${placeholders(rows)}`,
    rows.map(({ first }) => first),
  );
  const firsts = new Set(erased.map(({ idx }) => idx));
  return rows.filter(({ first }) => firsts.has(first));
}

async function forget(db: Db, vault: Vault, rows: readonly RequestRow[]): Promise<void> {
  for (const { key, first, count, chains, used_at: usedAt } of rows) {
    const places = JSON.parse(chains) as number[];
    const [, request] = requestRow(vault, key, { request: FORGOTTEN, first, count, chains: places, usedAt });
    await db.query('UPDATE idempotency SET request = ? WHERE key = ?', [request, key]);
  }
}

/**
 * Subjects without chains: provisional patients whose chains were matched to a patient. An older backup may hold such a
 * chain under the subject's key, so that key must not outlive the patient's erasure.
 * @param among only these numbers: subjects that were bare a while ago, so that no write about them is still under way
 * @returns their numbers
 */
export async function bareSubjects(db: Db, among?: readonly number[]): Promise<number[]> {
  if (among?.length === 0) return [];
  const rows = await db.query<{ num: number }>(
    `SELECT s.num FROM subject s WHERE s.num > 0 ${among ? `AND s.num IN ${placeholders(among)}` : ''}
       AND NOT EXISTS (SELECT 1 FROM chain c WHERE c.subject = s.num)`,
    among ?? [],
  );
  return rows.map(({ num }) => num);
}

/** Inside `writer.side`. @param earlier result of {@link bareSubjects} before the keys were rewrapped */
export async function dropBareSubjects(db: Db, earlier: readonly number[]): Promise<void> {
  for (let at = 0; at < earlier.length; at += PAGE) {
    const bare = await bareSubjects(db, earlier.slice(at, at + PAGE));
    if (bare.length > 0) await db.query(`DELETE FROM subject WHERE num IN ${placeholders(bare)}`, bare);
  }
}

/**
 * Empties SQLite's write-ahead log, which keeps deleted rows until it is overwritten.
 * @returns false while others read from it; null on PostgreSQL, whose files this program cannot write. Deleted rows
 * stay in its tables until VACUUM FULL, and in its write-ahead log until that is overwritten
 */
export async function emptyWal(config: Config): Promise<boolean | null> {
  if (config.postgresUrl) return null;
  const source = await openWriter(config);
  try {
    const db = dbOf(source);
    await db.query(`PRAGMA busy_timeout = ${READER_MS}`);
    for (let attempt = 0; attempt < EMPTYINGS; attempt++) {
      const [row] = await db.query<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)');
      if (row?.busy === 0) return true;
      // A running service is folding the log at this moment; SQLite does not wait for that.
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return false;
  } finally {
    await source.destroy();
  }
}
