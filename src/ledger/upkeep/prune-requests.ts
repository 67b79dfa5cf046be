import type { LedgerWriter } from '../ledger.writer.js';
import { REQUEST_LIFE_MS } from '../store/remembered-requests.js';

/** Rows deleted in one transaction: few enough that writes do not wait long. */
const PAGE = 500;

/**
 * Forgets requests whose key was first used longer ago than {@link REQUEST_LIFE_MS}, page by page between the batches.
 * From then on the same key is a new request. Signed requests stay. Uses SQL, since one of the two tables belongs to
 * the batch and has no repository.
 * @param now ms since 1970
 * @throws {LedgerUnavailable} on outage; earlier pages stay deleted
 */
export async function pruneRequests(
  writer: LedgerWriter,
  table: 'idempotency' | 'idempotent_request',
  now: number,
): Promise<void> {
  const before = now - REQUEST_LIFE_MS;
  for (let more = true; more;) {
    more = await writer.side(async (db) => {
      const rows = await db.query<{ used_at: number }>(
        `SELECT used_at FROM ${table} WHERE used_at < ? ORDER BY used_at LIMIT ?`,
        [before, PAGE],
      );
      const last = rows.at(-1);
      // The requests of one batch share their instant and are deleted together.
      if (last) await db.query(`DELETE FROM ${table} WHERE used_at <= ?`, [last.used_at]);
      return rows.length === PAGE;
    });
  }
}
