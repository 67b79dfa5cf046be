import type { Clock } from '../../time/clock.js';
import { CLOCK_TOLERANCE_MS } from '../store/batch-statement.js';
import type { Store } from '../store/store.js';
import type { Tip } from '../store/tip.js';
import { LedgerUnavailable } from '../unavailable.js';

/** How often the offset to the database's clock is measured. */
const CHECK_MS = 60_000;

/** Gives each batch its instant: by the database's clock where it has one, never before the last entry. */
export class BatchClock {
  private offset = 0;
  private checked = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly store: Store,
  ) {}

  /** Whether {@link check} would ask the database now. */
  get isDue(): boolean {
    return this.clock.now() - this.checked >= CHECK_MS;
  }

  /** The next {@link check} asks the database, however recent the last one was. */
  doubt(): void {
    this.checked = Number.NEGATIVE_INFINITY;
  }

  /** Compares the two clocks from time to time. @throws {LedgerUnavailable} when they differ too much */
  async check(): Promise<void> {
    if (!this.isDue) return;
    const started = this.clock.now();
    const theirs = await this.store.clock();
    const ours = (started + this.clock.now()) / 2;
    if (theirs !== null && Math.abs(theirs - ours) > CLOCK_TOLERANCE_MS) {
      throw new LedgerUnavailable("this machine's clock is off the database's", 60);
    }
    this.offset = theirs === null ? 0 : Math.round(theirs - ours);
    this.checked = started;
  }

  /** @returns ms since 1970; null when the log is too far ahead of the clock: it is never clamped */
  behind(tip: Tip): number | null {
    const now = this.clock.now() + this.offset;
    return tip.time > now + CLOCK_TOLERANCE_MS ? null : Math.max(now, tip.time);
  }

  /** As {@link behind}. @throws {LedgerUnavailable} instead of null */
  now(tip: Tip): number {
    const now = this.behind(tip);
    if (now === null) throw new LedgerUnavailable('the log is ahead of the clock', 60);
    return now;
  }
}
