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
