import type { DataSource } from 'typeorm';
import { type Db, dbOf, placeholders } from '../../database/db.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow, isErased } from '../store/chain-row.js';
import { readEventsAt } from '../read/chain-events.js';
import { readKeyHistory } from '../read/key-history.js';
import { exportedPayload, splitPayload } from '../store/payload.js';
import { readHead } from '../store/tip.js';
import type { Vault } from '../keys/vault.js';
import type { ExportHeader, ExportLine } from './export-file.js';

const PAGE = 1000;

/**
 * The whole log as lines of `rxledger-export/1` from one consistent snapshot: a header, then one line per entry.
 * @param vault when given, the lines hold all payloads IN THE CLEAR, with their salts; null: only payloads without
 * personal data
 * @throws Error when the database holds no log
 */
export async function* exportLog(source: DataSource, vault: Vault | null): AsyncGenerator<string> {
  const runner = source.createQueryRunner();
  const db = dbOf(runner);
  try {
    await db.query(db.dialect === 'postgres' ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN');
    const head = await readHead(db);
    if (!head) throw new Error('the database holds no log');
    const { names } = await readKeyHistory(db, head.origin);
    const header: ExportHeader = {
      format: 'rxledger-export/1',
      log: head.origin,
      vkey: head.vkey,
      size: head.size,
      checkpoint: head.checkpoint,
      ...(names.length > 1 && { names }),
    };
    yield JSON.stringify(header);
    for (let from = 0; from < head.size; from += PAGE) {
      const rows = await db.query<{ idx: number; chain: number; entry: Buffer }>(
        'SELECT idx, chain, entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
        [from, Math.min(from + PAGE, head.size)],
      );
      const payloads = new Map([
        ...(vault ? await payloadsOf(db, vault, rows) : []),
        ...(await clearPayloads(db, from, head.size)),
      ]);
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

/**
 * Payloads without personal data: those of the log chain, and the last payload of each erased chain, which proves that
 * the others may be missing.
 */
async function clearPayloads(db: Db, from: number, size: number): Promise<[number, string][]> {
  const rows = await db.query<{ idx: number; body: Buffer }>(
    `SELECT e.idx, p.body FROM entry e JOIN chain c ON c.num = e.chain JOIN payload p ON p.idx = e.idx
     WHERE (length(c.data_key) = 0 OR c.id = ?) AND e.idx >= ? AND e.idx < ?`,
    [LOG_CHAIN, from, Math.min(from + PAGE, size)],
  );
  return rows.map(({ idx, body }) => {
    const { salt, text } = splitPayload(body);
    return [idx, exportedPayload(salt, text).toString('base64')];
  });
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
    new Map(chains.filter((row) => !isErased(row)).map((row) => [row.num, row])),
  );
  return new Map(events.map(({ index, salt, text }) => [index, exportedPayload(salt, text).toString('base64')]));
}
