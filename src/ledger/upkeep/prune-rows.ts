import type { LedgerWriter } from '../ledger.writer.js';

/** Rows deleted in one transaction: few enough that writes do not wait long. */
const PAGE = 500;

/** Tables whose rows are forgotten with time, each with the indexed column that says when they were used last, in ms. */
interface Aging {
  readonly idempotency: 'used_at';
  readonly idempotent_request: 'used_at';
  readonly sign_in_attempt: 'last_at';
  readonly sign_in_address: 'last_at';
}

/**
 * Deletes rows that are older, page by page between the batches. Rows without a time stay. Uses SQL, since one of the
 * tables belongs to the batch and has no repository.
 * @param before ms since 1970
 * @throws {LedgerUnavailable} on outage; earlier pages stay deleted
 */
export async function pruneRows<T extends keyof Aging>(
  writer: LedgerWriter,
  table: T,
  column: Aging[T],
  before: number,
): Promise<void> {
  for (let more = true; more;) {
    more = await writer.side(async (db) => {
      const rows = await db.query<{ at: number }>(
        `SELECT ${column} AS at FROM ${table} WHERE ${column} < ? ORDER BY ${column} LIMIT ?`,
        [before, PAGE],
      );
      const last = rows.at(-1);
      // Rows of one instant, such as the requests of one batch, are deleted together.
      if (last) await db.query(`DELETE FROM ${table} WHERE ${column} <= ?`, [last.at]);
      return rows.length === PAGE;
    });
  }
}
