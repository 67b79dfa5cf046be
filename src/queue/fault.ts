import { asUnavailable } from '../ledger/unavailable.js';

/** Whether the database or the ledger is away: then the work waits, and nobody is to blame. */
export function isOutage(error: unknown): boolean {
  return asUnavailable(error) !== null;
}

/** What may be said of an error outside the database, in Redis and in logs: its class and code, never its message. */
export function faultOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  return error.name + code;
}
