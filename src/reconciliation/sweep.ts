import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../time/clock.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { moveCursor, readCursor, resetCursor } from '../ledger/rows/relay-cursors.js';
import { firstState, refuse, SYSTEM } from '../ledger/model.js';
import { pruneAttempts } from '../identity/accounts/sign-in-attempts.js';
import { REQUEST_LIFE_MS } from '../ledger/store/remembered-requests.js';
import { pruneRows } from '../ledger/upkeep/prune-rows.js';
import { prescriptionModel } from '../prescription/chain-models.js';
import { decideTimer } from '../prescription/timer.js';
import { faultOf, isOutage } from '../queue/fault.js';
import { countUnjudged, unjudged } from './judged.js';

/** Prescriptions whose time has come, and chains missed, that are read at once. */
const PAGE = 500;
/** Everything before this log index is judged, or is in the dead-letter view. */
const CURSOR = 'judged';

/** What time and lost jobs leave undone. Its truth is in the database, so that an emptied Redis loses nothing. */
@Injectable()
export class Sweep {
  private readonly logger = new Logger('Sweep');

  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly clock: Clock,
  ) {}

  /**
   * Moves `future` issues to `ready` and ends validity, for every prescription whose time has come.
   * @returns how many prescriptions changed
   * @throws on outage; a prescription that fails otherwise is logged and left for the next sweep
   */
  async timers(): Promise<number> {
    const now = this.clock.now();
    let changed = 0;
    for (let after = -1; ;) {
      const due = await this.db.query<{ num: number; id: string }>(
        `SELECT c.num, c.id FROM prescription_row p JOIN chain c ON c.num = p.chain
         WHERE p.timer_at IS NOT NULL AND p.timer_at <= ? AND p.chain > ? ORDER BY p.chain LIMIT ?`,
        [now, after, PAGE],
      );
      // Together, so that they share a commit.
      const outcomes = await Promise.allSettled(due.map(({ id }) => this.timer(id)));
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') changed += outcome.value ? 1 : 0;
        else if (isOutage(outcome.reason)) throw outcome.reason;
        else this.logger.error(`a timer failed: ${faultOf(outcome.reason)}`);
      }
      const last = due.at(-1);
      if (!last || due.length < PAGE) return changed;
      after = last.num;
    }
  }

  /**
   * Finds subjects with entries that nobody judged, though the relay is past them: their jobs were lost.
   * @param found is given their numbers, page by page
   * @param passed log index up to which the relay has handed entries over
   * @param dead subjects whose job used up its attempts: they are left to its retry, which judges the whole book,
   * and the next sweep need not begin at them
   */
  async missed(
    passed: number,
    dead: ReadonlySet<number>,
    found: (subjects: readonly number[]) => Promise<void>,
  ): Promise<void> {
    const start = await readCursor(this.db, CURSOR);
    let judgedUpTo: number | null = null;
    for (let from = start; ;) {
      const rows = await unjudged(this.db, from, passed, PAGE);
      const missed = rows.filter(({ subject }) => !dead.has(subject));
      judgedUpTo ??= missed[0]?.idx ?? null;
      const last = rows.at(-1);
      if (!last) break;
      await found([...new Set(missed.map(({ subject }) => subject))]);
      from = last.idx + 1;
    }
    const end = judgedUpTo ?? passed;
    if (end > start) await this.writer.side((db) => moveCursor(db, CURSOR, start, end));
  }

  /**
   * Forgets requests that are too old to be repeated: from then on the same key is a new request. Signed requests stay.
   * Forgets old sign-in attempts, too.
   * @throws on outage
   */
  async requests(): Promise<void> {
    const now = this.clock.now();
    for (const table of ['idempotency', 'idempotent_request'] as const)
      await pruneRows(this.writer, table, 'used_at', now - REQUEST_LIFE_MS);
    await pruneAttempts(this.writer, this.db, now);
  }

  /** The next sweep begins at the first entry: the dead letters that the cursor passed may be forgotten. */
  async startOver(): Promise<void> {
    await this.writer.side((db) => resetCursor(db, CURSOR));
  }

  /** @returns how many prescriptions and supplies have entries that nobody has judged yet; it reads all of them */
  waiting(): Promise<number> {
    return countUnjudged(this.db);
  }

  private async timer(id: string): Promise<boolean> {
    const outcome = await this.writer.commit({
      actor: SYSTEM,
      chains: [{ id, model: prescriptionModel, mode: 'existing' }],
      decide: (view) => {
        const rx = firstState(view, prescriptionModel);
        return rx ? decideTimer(rx, { chain: id, now: view.now, actor: SYSTEM }) : refuse('ledger.chain-unknown');
      },
    });
    return outcome.ok && outcome.events.length > 0;
  }
}
