import { decodeEntry } from './core/record/entry.js';
import type { ChainKind } from './core/record/event.js';
import type { LedgerWriter } from './ledger.writer.js';
import type { Db } from '../database/db.js';
import { moveCursor, readCursor } from './rows/relay-cursors.js';

/** What a follower learns about an entry: where it stands and whose it is, and nothing about its payload. */
export interface FollowedEntry {
  /** Log index. */
  readonly idx: number;
  /** Number of its chain. */
  readonly chain: number;
  readonly kind: ChainKind;
  /** Number of the subject to which the chain belongs now. */
  readonly subject: number;
}

export interface RelayOptions {
  /** Name of the cursor. */
  readonly name: string;
  /** How often the relay looks for entries of other processes, ms. */
  readonly pollMs: number;
  /**
   * Takes entries over, in log order. It MUST resolve only once they are safe there, and MUST bear taking the
   * same entries again: a process that dies before its cursor moved hands them over once more.
   */
  hand(entries: readonly FollowedEntry[]): Promise<void>;
  /** Called on a fault, with the time that the relay waits before it tries again, ms. */
  report(error: unknown, waitMs: number): void;
}

/** Most entries handed over at once. */
const PAGE = 1000;
/** How long entries are gathered, ms: under load one hand-over and one cursor move serve many commits. */
const GATHER_MS = 50;
/** Longest wait after repeated faults, ms. */
const LONGEST_WAIT_MS = 15_000;

/**
 * Follows the ledger from a stored cursor: the ledger is the outbox (design 5). The cursor moves by compare-and-set, and
 * only after the entries were taken over. So nothing is lost while the other side is down or was emptied. Several processes may follow under one name: each hands over what it sees, one moves the
 * cursor. It runs beside the requests and never makes one wait.
 */
export class LedgerRelay {
  private stopped = true;
  private woken = false;
  private failures = 0;
  private running: Promise<void> = Promise.resolve();
  private interrupt: () => void = () => undefined;

  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: Db,
    private readonly options: RelayOptions,
  ) {
    writer.onCommit(() => {
      this.woken = true;
      // Commits must not cut the wait after a fault short, or the retries become a storm.
      if (this.failures === 0) this.interrupt();
    });
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.running = this.run();
  }

  /** Lets a hand-over that is under way finish. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.interrupt();
    await this.running;
  }

  /** Entries that were not handed over yet. */
  async lag(): Promise<number> {
    return (await this.waiting()).entries;
  }

  /** @returns how many entries were not handed over yet, and the instant (ms) of the oldest; null when there is none */
  async waiting(): Promise<{ entries: number; since: number | null }> {
    // The cursor must be read first: then it is never beyond the head.
    const next = await readCursor(this.db, this.options.name);
    const [row] = await this.db.query<{ size: number; entry: Buffer | null }>(
      'SELECT h.size, e.entry FROM log_head h LEFT JOIN entry e ON e.idx = ? WHERE h.id = 1',
      [next],
    );
    return {
      entries: row ? row.size - next : 0,
      since: row?.entry ? Date.parse(decodeEntry(row.entry).time) : null,
    };
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      this.woken = false;
      try {
        const full = await this.step();
        this.failures = 0;
        if (!full) {
          await this.wait(GATHER_MS, false);
          await this.wait(this.options.pollMs - GATHER_MS, true);
        }
      } catch (error) {
        this.failures++;
        const wait = Math.min(this.options.pollMs * 2 ** this.failures, LONGEST_WAIT_MS);
        this.options.report(error, wait);
        await this.wait(wait, false);
      }
    }
  }

  /** @returns whether there was a full page, so that more is likely to wait */
  private async step(): Promise<boolean> {
    const { name } = this.options;
    const next = await readCursor(this.db, name);
    const entries = await this.db.query<FollowedEntry & object>(
      'SELECT e.idx, e.chain, c.kind, c.subject FROM entry e JOIN chain c ON c.num = e.chain WHERE e.idx >= ? ORDER BY e.idx LIMIT ?',
      [next, PAGE],
    );
    const last = entries.at(-1);
    if (!last) return false;
    await this.options.hand(entries);
    await this.writer.side((db) => moveCursor(db, name, next, last.idx + 1));
    return entries.length === PAGE;
  }

  /** @param wakeable whether a commit ends it, also one that came since the last step began */
  private async wait(ms: number, wakeable: boolean): Promise<void> {
    if (this.stopped || ms <= 0 || (wakeable && this.woken)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.interrupt = () => {
        if (!wakeable && !this.stopped) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.interrupt = () => undefined;
  }
}
