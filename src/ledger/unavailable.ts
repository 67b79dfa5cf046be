import { DbError } from '../database/db.js';

/**
 * The ledger cannot answer this write now. After a lost connection it may be recorded all the same: the caller asks
 * again with the same idempotency key.
 */
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

/** The code of an error of Node's or the system's, for example `ENOSPC`; `unknown` when it has none. */
export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';

/** Told what went wrong in one line of facts that hold no health data and no secret; the process goes on. */
export type ReportFault = (event: string, detail: Record<string, string | number>) => void;

/** What a line of the log may say about an error: never its text, unless that is our own. */
export const describeFault = (error: unknown): string =>
  error instanceof DbError ? error.message : error instanceof Error ? error.name : 'unknown';
