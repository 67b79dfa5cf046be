import { DbError } from '../database/db.js';

/**
 * The ledger cannot answer this write now. After a lost connection the write may still be recorded: repeat it with the
 * same idempotency key.
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

/** @returns an outage of the database as {@link LedgerUnavailable}; null for any other error */
export function asUnavailable(error: unknown): LedgerUnavailable | null {
  if (error instanceof LedgerUnavailable) return error;
  if (error instanceof DbError && (error.fault === 'lost' || error.fault === 'outage')) {
    return new LedgerUnavailable(error.message, error.fault === 'lost' ? 5 : 1);
  }
  return null;
}

/** The code of an error of Node's or the system's, for example `ENOSPC`; `unknown` when it has none. */
export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';

/** Reports a fault in one line of facts, without health data or secrets. The process goes on. */
export type ReportFault = (event: string, detail: Record<string, string | number>) => void;

/** The part of an error that may be logged: its text only when this program wrote it. */
export const describeFault = (error: unknown): string =>
  error instanceof DbError ? error.message : error instanceof Error ? error.name : 'unknown';
