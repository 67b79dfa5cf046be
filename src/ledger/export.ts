import type { DataSource } from 'typeorm';
import { type Db, dbOf, placeholders } from '../database/db.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow } from './chain-head.js';
import { readEventsAt } from './history.js';
import { payloadBytes } from './payload.js';
import { readHead } from './tip.js';
import type { Vault } from './vault.js';
import type { ExportHeader, ExportLine } from './verify/export-file.js';

const PAGE = 1000;

/**
 * The whole log as lines of `rxledger-export/1` from one consistent snapshot: a header, then one line an entry.
 * @param vault given: payloads stand in the lines IN THE CLEAR, with their salts; null: entries only
 * @throws Error when the database holds no log
 */
export async function* exportLog(source: DataSource, vault: Vault | null): AsyncGenerator<string> {
  const runner = source.createQueryRunner();
  const db = dbOf(runner);
  try {
    await db.query(db.dialect === 'postgres' ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN');
    const head = await readHead(db);
    if (!head) throw new Error('the database holds no log');
    const header: ExportHeader = {
      format: 'rxledger-export/1',
      log: head.origin,
      vkey: head.vkey,
      size: head.size,
      checkpoint: head.checkpoint,
    };
    yield JSON.stringify(header);
    for (let from = 0; from < head.size; from += PAGE) {
      const rows = await db.query<{ idx: number; chain: number; entry: Buffer }>(
        'SELECT idx, chain, entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
        [from, Math.min(from + PAGE, head.size)],
      );
      const payloads = vault ? await payloadsOf(db, vault, rows) : new Map<number, string>();
      for (const { idx, entry } of rows) {
        const payload = payloads.get(idx);
        const line: ExportLine = {
          index: idx,
          entry: entry.toString('base64'),
          ...(payload === undefined ? {} : { payload }),
        };
        yield JSON.stringify(line);
      }
    }
  } finally {
    await db.query('ROLLBACK').catch(() => undefined);
    await runner.release();
  }
}

async function payloadsOf(
  db: Db,
  vault: Vault,
  rows: readonly { idx: number; chain: number }[],
): Promise<Map<number, string>> {
  const nums = [...new Set(rows.map(({ chain }) => chain))];
  const chains = await db.query<ChainRow>(
    `SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE c.num IN ${placeholders(nums)}`,
    nums,
  );
  const events = await readEventsAt(
    db,
    vault,
    rows.map(({ idx }) => idx),
    new Map(chains.map((row) => [row.num, row])),
  );
  return new Map(events.map(({ index, salt, text }) => [index, payloadBytes(salt, text).toString('base64')]));
}
