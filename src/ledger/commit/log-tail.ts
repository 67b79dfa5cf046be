import type { Clock } from '../../time/clock.js';
import { type Db, DbError } from '../../database/db.js';
import { BatchClock } from './batch-clock.js';
import {
  type BatchTools,
  closeBatch,
  type DecidedBatch,
  decideCommand,
  openBatch,
  type OpenBatch,
  type Result,
  wroteNothing,
} from './decided-batch.js';
import type { HeadCache } from './head-cache.js';
import { KnownLog } from './known-log.js';
import { LostBatch } from './lost-batch.js';
import type { Command } from '../model.js';
import { Sealer } from '../crypto/sealer.js';
import type { Store } from '../store/store.js';
import type { Tip } from '../store/tip.js';
import { LedgerUnavailable, type ReportFault } from '../unavailable.js';

/** Compare-and-set attempts before the head's lock is taken instead, so that a busy neighbour starves nobody. */
const OPTIMISTIC_ATTEMPTS = 2;
/** Attempts at one batch in all. */
const ATTEMPTS = 8;

/** A command in a batch. */
export interface Item {
  readonly command: Command;
  /** Idempotency key as stored; null without one. */
  readonly key: Buffer | null;
}

/** A batch that is being decided while the previous one is being written. */
export interface NextBatch extends OpenBatch {
  readonly epoch: number;
  readonly results: Result[];
}

/** A batch on its way into the log. */
export interface Writing {
  /** Settles when the batch is decided and handed to the database; never when it fails before, or writes nothing. */
  readonly handedOver: Promise<void>;
  /** @throws {LedgerUnavailable} or {@link DbError} on outage; anything else is a fault of the batch */
  readonly committed: Promise<DecidedBatch>;
  /** Tries at writing it so far: more than one when another process was faster. */
  attempts(): number;
}

/** What may be used while the head's lock is held. */
export interface Locked {
  readonly db: Db;
  readonly tools: BatchTools;
  readonly cache: HeadCache;
  /** The log's newest tip. */
  readonly tip: Tip;
  /** Instant of the batch, ms since 1970. */
  readonly now: number;
  /** Writes one batch, in the transaction that holds the lock. */
  write(batch: DecidedBatch): Promise<void>;
}

/**
 * The tail of the log as this process knows it, and how batches come behind it: decided on the newest state, written by
 * compare-and-set on the log's head, and never twice, whatever becomes of the connection.
 */
export class LogTail {
  private readonly known: KnownLog;
  private readonly sealer: Sealer;
  private readonly clock: BatchClock;
  private readonly lost: LostBatch;

  constructor(
    private readonly store: Store,
    private readonly tools: BatchTools,
    clock: Clock,
    /** Decrypted chain heads kept in memory. */
    cached: number,
    /** How long the outcome of a lost batch is looked for, in milliseconds. */
    resolveMs: number,
    report: ReportFault,
  ) {
    this.known = new KnownLog(store, tools.vault, cached);
    this.sealer = new Sealer(report);
    this.clock = new BatchClock(clock, store);
    this.lost = new LostBatch(store, resolveMs, report);
  }

  /** Commits a batch. @param decided the batch, where {@link decideNext} and {@link closeNext} made it already */
  put(items: readonly Item[], decided: DecidedBatch | null): Writing {
    let handOver = nobodyWaits;
    const handedOver = new Promise<void>((resolve) => (handOver = resolve));
    const tries = { made: 0 };
    return { handedOver, committed: this.attempts(items, decided, handOver, tries), attempts: () => tries.made };
  }

  private async attempts(
    items: readonly Item[],
    decided: DecidedBatch | null,
    handOver: () => void,
    tries: { made: number },
  ): Promise<DecidedBatch> {
    let careful = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const lock = attempt >= OPTIMISTIC_ATTEMPTS;
      tries.made++;
      try {
        let written: DecidedBatch | null;
        if (attempt === 0 && decided) written = await this.write(decided, false, handOver);
        else {
          await this.recover();
          await this.clock.check();
          const once = async (): Promise<DecidedBatch | null> =>
            this.write(await this.decide(items, careful, lock), lock, handOver);
          written = lock ? await this.store.locked(once) : await once();
        }
        if (written) {
          this.lost.settle();
          return written;
        }
        this.clock.doubt();
      } catch (error) {
        if (this.lost.noteLoss(error)) {
          const committed = await this.lost.committed();
          if (committed) return committed;
        }
        // A name, a chain id or an idempotency key was taken after all: read them this time.
        if (!(error instanceof DbError && error.fault === 'conflict') || careful) throw error;
        careful = true;
      }
    }
    throw new LedgerUnavailable('the log is busy');
  }

  /**
   * Opens a batch behind the one that is being written.
   * @returns null when anything is out of order: {@link put} finds out what
   */
  openNext(): NextBatch | null {
    const { tip, epoch, cache } = this.known;
    if (!tip || this.lost.isDisconnected || this.clock.isDue) return null;
    const now = this.clock.behind(tip);
    if (now === null) return null;
    return { epoch, results: [], ...openBatch(this.tools, tip, now, cache) };
  }

  /**
   * Decides one command more, from memory alone, for the connection is busy.
   * @returns false when that is not enough: the command is not part of the batch
   */
  decideNext(next: NextBatch, { command, key }: Item): boolean {
    const known = this.known.cache.peek(command);
    if (!known) return false;
    next.staging.learn(known);
    const result = decideCommand(next, command, key);
    if (isUnsure(key, result)) return false;
    next.results.push(result);
    return true;
  }

  /** @returns null when the previous batch failed, or this one has a fault that {@link put} will find again */
  closeNext(next: NextBatch): DecidedBatch | null {
    if (next.epoch !== this.known.epoch || next.results.length === 0) return null;
    try {
      return this.buildOn(closeBatch(this.tools, next, next.results));
    } catch {
      return null;
    }
  }

  /**
   * Works under the head's lock, on the newest tip and in one transaction. What is in memory is read anew afterwards.
   * @param work may write one batch
   */
  async underHeadLock<T>(work: (locked: Locked) => Promise<T>): Promise<T> {
    try {
      await this.recover();
      await this.clock.check();
      const done = await this.store.locked(async () => {
        const tip = await this.tip(true);
        const write = async (batch: DecidedBatch): Promise<void> => {
          if (!(await this.write(batch, true, nobodyWaits))) throw new LedgerUnavailable('the log is busy');
        };
        const { store, tools, known } = this;
        return work({ db: store.db, tools, cache: known.cache, tip, now: this.clock.now(tip), write });
      });
      this.lost.settle();
      return done;
    } catch (error) {
      // Rolled back as a whole, unless the connection broke: then nobody knows yet.
      if (!this.lost.noteLoss(error) && !this.lost.isDisconnected) this.lost.settle();
      throw error;
    } finally {
      // After an erasure the subject's keys and states leave memory, too.
      this.forget();
    }
  }

  /** A transaction for rows that are no events. */
  async transaction<T>(work: (db: Db) => Promise<T>): Promise<T> {
    try {
      await this.recover();
      return await this.store.transaction(() => work(this.store.db));
    } catch (error) {
      this.lost.noteLoss(error);
      throw error;
    }
  }

  /** When nothing is being written any more. */
  close(): Promise<void> {
    return this.sealer.close();
  }

  /** Drops what is known of the log; the next batch reads it anew. */
  forget(): void {
    this.known.forget();
  }

  /** Reads what the commands need, and decides them. */
  private async decide(items: readonly Item[], careful: boolean, locked: boolean): Promise<DecidedBatch> {
    const tip = await this.tip(locked);
    const { cache } = this.known;
    const commands = items.map(({ command }) => command);
    const read = await cache.read(commands, careful);
    const open = openBatch(this.tools, tip, this.clock.now(tip), cache);
    open.staging.learn(read);
    const results = items.map(({ command, key }) => decideCommand(open, command, key));
    const unsure = items.some(({ key }, at) => isUnsure(key, results[at] as Result));
    if (unsure && !careful) return this.decide(items, true, false);
    return this.buildOn(closeBatch(this.tools, open, results));
  }

  private buildOn(batch: DecidedBatch): DecidedBatch {
    this.known.buildOn(batch);
    return batch;
  }

  /** @returns the batch once it is committed; null when the head moved meanwhile */
  private async write(batch: DecidedBatch, locked: boolean, handOver: () => void): Promise<DecidedBatch | null> {
    if (!batch.rows) {
      // Refusals too must rest on the newest state: another process may have written since it was read.
      if (locked || (await this.isCurrent(batch.before))) return batch;
      this.known.retract(batch);
      return null;
    }
    this.lost.watch(batch);
    handOver();
    try {
      const rows = await batch.rows.sealed(this.sealer);
      if (await this.store.write(batch.before, batch.after, rows)) return batch;
      this.lost.settle();
      this.known.retract(batch);
      return null;
    } catch (error) {
      if (!(error instanceof DbError && error.fault === 'lost')) {
        this.lost.settle();
        this.known.retract(batch);
      }
      throw error;
    }
  }

  /** The tip to build on. @param fresh whether to look for what others wrote, even without a reason */
  private async tip(fresh: boolean): Promise<Tip> {
    const known = this.known.tip;
    if (known && !fresh) return known;
    const { tip, moved } = await this.known.catchUp();
    // Nobody else wrote: then our clock was the reason why a batch was not written.
    if (!moved) this.clock.doubt();
    return tip;
  }

  private async isCurrent(tip: Tip): Promise<boolean> {
    const [row] = await this.store.db.query<{ size: number }>('SELECT size FROM log_head WHERE id = 1');
    return row?.size === tip.size;
  }

  /** Nothing is decided before the outcome of a lost batch is known. */
  private async recover(): Promise<void> {
    if (await this.lost.recover()) this.forget();
  }
}

const nobodyWaits = (): void => undefined;

/** What is refused now may have been accepted before under the same key: then the repeat gets the first answer. */
function isUnsure(key: Buffer | null, result: Result): boolean {
  return key !== null && wroteNothing(result);
}
