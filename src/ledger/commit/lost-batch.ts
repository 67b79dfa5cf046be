import { DbError } from '../../database/db.js';
import { type DecidedBatch, firstEntry } from './decided-batch.js';
import type { StagedEvent } from './staging.js';
import type { Store } from '../store/store.js';
import { describeFault, LedgerUnavailable, type ReportFault } from '../unavailable.js';

/** Pauses between two looks for a lost batch, in milliseconds: the first, and the longest that doubling leads to. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;

/**
 * Keeps the batch that is being written until its outcome is known. When the connection breaks meanwhile, the batch may
 * be committed or not: this class finds out, so that no batch is written twice and none is lost in silence.
 */
export class LostBatch {
  private unsettled: DecidedBatch | null = null;
  private disconnected = false;

  constructor(
    private readonly store: Store,
    /** How long the outcome is looked for before callers are told 503, in milliseconds. */
    private readonly resolveMs: number,
    private readonly report: ReportFault,
  ) {}

  /** Whether the connection is known to be broken. */
  get isDisconnected(): boolean {
    return this.disconnected;
  }

  /** The batch is handed to the database: from here on its outcome is unknown. */
  watch(batch: DecidedBatch): void {
    this.unsettled = batch;
  }

  /** The outcome is known. */
  settle(): void {
    this.unsettled = null;
  }

  /** @returns whether the error means that the connection broke */
  noteLoss(error: unknown): boolean {
    const lost = error instanceof DbError && error.fault === 'lost';
    if (lost) this.disconnected = true;
    return lost;
  }

  /**
   * Call it after {@link noteLoss} told of a loss.
   * @returns the batch when it was committed all the same; null when it was not, or none was on its way
   * @throws {LedgerUnavailable} when the database is away for too long
   */
  async committed(): Promise<DecidedBatch | null> {
    const lost = this.unsettled;
    return lost && (await this.wasCommitted(lost)) ? lost : null;
  }

  /**
   * Replaces a broken connection and learns an outcome that was not learnt in time. Nothing else may be signed before.
   * @returns whether a batch had been lost: what is in memory may be out of date then
   * @throws {LedgerUnavailable} while the database is away
   */
  async recover(): Promise<boolean> {
    const lost = this.unsettled;
    if (lost) await this.wasCommitted(lost);
    if (this.disconnected) {
      await this.store.reconnect();
      this.disconnected = false;
    }
    return lost !== null;
  }

  private async wasCommitted(lost: DecidedBatch): Promise<boolean> {
    const first = firstEntry(lost);
    this.report('ledger.outcome-unknown', { index: first.event.index });
    const giveUp = Date.now() + this.resolveMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.store.reconnect();
        // The lock waits for the old backend, should it still be committing.
        const found = await this.store.locked(() => this.isThere(first));
        this.disconnected = false;
        this.unsettled = null;
        return found;
      } catch (error) {
        // Whatever the reason: a batch that is run again before its outcome is known may be in the log twice.
        this.report('ledger.outcome-still-unknown', { index: first.event.index, error: describeFault(error) });
        if (Date.now() > giveUp) throw new LedgerUnavailable('the database is away', 5);
        await new Promise<void>((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  private async isThere({ event, entry }: StagedEvent): Promise<boolean> {
    const [row] = await this.store.db.query<{ entry: Buffer }>('SELECT entry FROM entry WHERE idx = ?', [event.index]);
    return row !== undefined && row.entry.equals(entry);
  }
}
