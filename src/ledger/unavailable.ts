import { DbError } from '../database/db.js';

/** The ledger cannot take this write now; nothing of it is recorded, and the caller may try again. */
export class LedgerUnavailable extends Error {
  constructor(
    reason: string,
    readonly retryAfterSeconds = 1,
  ) {
    super(reason);
    this.name = 'LedgerUnavailable';
  }
}

/** @returns what an outage of the database means to a writer; null for anything else */
export function asUnavailable(error: unknown): LedgerUnavailable | null {
  if (error instanceof LedgerUnavailable) return error;
  if (error instanceof DbError && (error.fault === 'lost' || error.fault === 'outage')) {
    return new LedgerUnavailable(error.message, error.fault === 'lost' ? 5 : 1);
  }
  return null;
}
