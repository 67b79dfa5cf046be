import type { Clock } from '../../time/clock.js';
import { type Db, DbError } from '../../database/db.js';
import { BatchClock } from './batch-clock.js';
import type { GrowingTree } from '../core/tlog/merkle.js';
import { type Desk, type Draft, firstEntry, openStaging, type Result, seal, stage, wroteNothing } from './draft.js';
import {
  deleteErased,
  draftErasure,
  erasureOf,
  type ErasureOptions,
  type ErasureOutcome,
  ownState,
} from './erasure-batch.js';
import { HeadCache } from './head-cache.js';
import { draftRotation, publishRotation } from './rotation-batch.js';
import type { LogKey } from '../crypto/log-key.js';
import type { Actor, ChainModel, Command } from '../model.js';
import { Sealer } from '../crypto/sealer.js';
import type { StagedEvent, Staging } from './staging.js';
import type { Store } from '../store/store.js';
import { loadTip, type Tip } from '../store/tip.js';
import { LedgerUnavailable } from '../unavailable.js';

/** Compare-and-set attempts before the head's lock is taken instead, so that a busy neighbour starves nobody. */
const OPTIMISTIC_ATTEMPTS = 2;
/** Attempts at one batch in all. */
const ATTEMPTS = 8;

/** Told what went wrong, without values; the process goes on. */
export type Report = (event: string, detail: Record<string, string | number>) => void;

/** `draft` is null when there was nothing to end. */
export interface ErasureDone {
  readonly outcome: ErasureOutcome;
  readonly draft: Draft | null;
}

/** A command in a batch. */
export interface Item {
  readonly command: Command;
  /** Idempotency key as stored; null without one. */
  readonly key: Buffer | null;
}

/** A batch that is decided, command by command, while the one before it is being written. */
export interface Ahead {
  readonly epoch: number;
  readonly tip: Tip;
  readonly now: number;
  readonly results: Result[];
  readonly tree: GrowingTree;
  readonly staging: Staging;
}

/**
 * The end of the log as this process knows it, and how batches get behind it: decided on the newest state, written
 * by compare-and-set on the head, and never twice, whatever becomes of the connection.
 */
export class LogEnd {
  private readonly cache: HeadCache;
  private readonly sealer: Sealer;
  private tip: Tip | null = null;
  private readonly clock: BatchClock;
  /** The batch that is being written, until its outcome is known. */
  private written: Draft | null = null;
  private broken = false;
  /** A batch was not written: others may have changed the log since {@link tip}. */
  private behind = false;
  /** Raised when a batch fails: what was decided on the state that it would have left counts for nothing. */
  private epoch = 0;

  constructor(
    private readonly store: Store,
    private readonly desk: Desk,
    private readonly models: readonly ChainModel[],
    clock: Clock,
    /** Decrypted chain heads kept in memory. */
    private readonly cached: number,
    /** How long the outcome of a lost batch is looked for, in milliseconds. */
    private readonly resolveMs: number,
    private readonly report: Report,
  ) {
    this.cache = new HeadCache(store.db, desk.vault, cached);
    this.sealer = new Sealer(report);
    this.clock = new BatchClock(clock, store);
  }

  /**
   * Commits a batch.
   * @param ahead the batch decided already, if {@link decide} and {@link sealAhead} did
   * @param departed called when the batch is decided and on its way to the database: from then on its end of the
   *   log can be built on
   * @throws {LedgerUnavailable} or {@link DbError} on outage; anything else is a fault of the batch
   */
  async put(batch: readonly Item[], ahead: Draft | null, departed: () => void): Promise<Draft> {
    let careful = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const lock = attempt >= OPTIMISTIC_ATTEMPTS;
      try {
        let draft: Draft | null;
        if (attempt === 0 && ahead) draft = await this.write(ahead, false, departed);
        else {
          await this.recover();
          await this.clock.check();
          const once = async (): Promise<Draft | null> =>
            this.write(await this.draft(batch, careful, lock), lock, departed);
          draft = lock ? await this.store.locked(once) : await once();
        }
        if (draft) {
          this.written = null;
          return draft;
        }
        this.clock.doubt();
      } catch (error) {
        const fault = error instanceof DbError ? error.fault : null;
        if (fault === 'lost') {
          this.broken = true;
          const lost = this.written;
          if (lost && (await this.wasCommitted(lost))) return lost;
        }
        // A name, a chain id or an idempotency key was taken after all: read them this time.
        if (fault !== 'conflict' || careful) throw error;
        careful = true;
      }
    }
    throw new LedgerUnavailable('the log is busy');
  }

  /** Opens a batch behind the one that is on its way; null when anything is out of order: {@link put} finds out what. */
  openAhead(): Ahead | null {
    const { tip } = this;
    if (!tip || this.behind || this.broken || this.clock.isDue) return null;
    const now = this.clock.behind(tip);
    if (now === null) return null;
    const { tree, staging } = openStaging(this.desk, tip, now, this.cache.nextSubject, this.cache.log);
    return { epoch: this.epoch, tip, now, results: [], tree, staging };
  }

  /**
   * Decides one command more, from memory alone, for the connection is busy.
   * @returns false when that is not enough: the command is not part of the batch
   */
  decide({ staging, results }: Ahead, { command, key }: Item): boolean {
    const known = this.cache.peek(command);
    if (!known) return false;
    staging.learn(known);
    const result = stage(staging, command, key);
    if (isUnsure(key, result)) return false;
    results.push(result);
    return true;
  }

  /** @returns null when the batch before it failed, or this one has a fault that {@link put} will find again */
  sealAhead({ epoch, tip, now, tree, staging, results }: Ahead): Draft | null {
    if (epoch !== this.epoch || results.length === 0) return null;
    try {
      return this.project(seal(this.desk, tip, now, tree, staging, results));
    } catch {
      return null;
    }
  }

  /** Ends every chain of a subject and deletes what they held. */
  erase(subject: string, actor: Actor, { reason, decide, remember }: ErasureOptions): Promise<ErasureDone> {
    return this.alone(async (tip) => {
      const { db } = this.store;
      const desk = { ...this.desk, models: this.models };
      const now = this.clock.now(tip);
      const decided = decide ? await decide(db, await ownState(db, desk, subject), now) : { also: [] };
      if ('refusal' in decided) return { outcome: { ok: false, refusal: decided.refusal }, draft: null };
      const subjects = [subject, ...decided.also];
      const draft = await draftErasure(db, desk, tip, now, subjects, actor, reason);
      if (draft) await this.writeLocked(draft);
      await deleteErased(db, this.models, draft, subjects);
      await remember?.(db);
      return { outcome: await erasureOf(db, subject), draft };
    });
  }

  /** Replaces the log's key. @returns null when that is not `from` any more */
  async replaceKey(next: LogKey, from: string): Promise<Draft | null> {
    const draft = await this.alone(async (tip) => {
      if (tip.vkey !== from) return null;
      const drafted = await draftRotation(this.desk, this.cache, tip, this.clock.now(tip), next);
      await this.writeLocked(drafted);
      await publishRotation(this.store.db, drafted.after);
      return drafted;
    });
    if (draft) this.desk.keys.take(next);
    return draft;
  }

  /**
   * Under the head's lock, on the newest tip and in one transaction. What is in memory is read anew afterwards.
   * @param work may write one draft
   */
  private async alone<T>(work: (tip: Tip) => Promise<T>): Promise<T> {
    try {
      await this.recover();
      await this.clock.check();
      const done = await this.store.locked(async () => {
        await this.catchUp();
        return work((this.tip ??= await this.load()));
      });
      this.written = null;
      return done;
    } catch (error) {
      this.noteLoss(error);
      // Taken back whole, unless the connection broke: then it is not known.
      if (!this.broken) this.written = null;
      throw error;
    } finally {
      // Of an erasure keys and states leave memory, too, and what stood in for them while its chains were ended.
      this.forget();
    }
  }

  private async writeLocked(draft: Draft): Promise<void> {
    if (!(await this.write(draft, true, () => undefined))) throw new LedgerUnavailable('the log is busy');
  }

  /** A transaction for rows that are no events. */
  async transaction<T>(work: (db: Db) => Promise<T>): Promise<T> {
    try {
      await this.recover();
      return await this.store.transaction(() => work(this.store.db));
    } catch (error) {
      this.noteLoss(error);
      throw error;
    }
  }

  /** When nothing is being written any more. */
  close(): Promise<void> {
    return this.sealer.close();
  }

  /** Drops what is known of the log's end; the next batch reads it anew. */
  forget(): void {
    this.epoch++;
    this.tip = null;
    this.behind = false;
    this.cache.clear();
  }

  /**
   * Takes a draft back that was not written. What is in memory then was right at its `before` and stays; the next batch
   * looks for what others changed since.
   */
  private retract({ before, staging }: Draft): void {
    this.epoch++;
    this.tip = before;
    this.behind = true;
    this.cache.retract(staging);
  }

  /** Reads and decides. */
  private async draft(batch: readonly Item[], careful: boolean, locked: boolean): Promise<Draft> {
    if (locked || this.behind) await this.catchUp();
    const tip = (this.tip ??= await this.load());
    const now = this.clock.now(tip);
    const commands = batch.map(({ command }) => command);
    const known = await this.cache.read(commands, careful);
    const { tree, staging } = openStaging(this.desk, tip, now, this.cache.nextSubject, this.cache.log);
    staging.learn(known);
    const results = batch.map(({ command, key }) => stage(staging, command, key));
    const unsure = batch.some(({ key }, at) => isUnsure(key, results[at] as Result));
    if (unsure && !careful) return this.draft(batch, true, false);
    return this.project(seal(this.desk, tip, now, tree, staging, results));
  }

  /** From here on decisions rest on what the draft leaves; {@link forget} when it is not written after all. */
  private project(draft: Draft): Draft {
    this.tip = draft.after;
    this.cache.put(draft.staging);
    return draft;
  }

  /** @returns the draft once it is committed; null when the head moved meanwhile */
  private async write(draft: Draft, locked: boolean, departed: () => void): Promise<Draft | null> {
    if (!draft.rows) {
      // Refusals too must rest on the newest state: another process may have written since it was read.
      if (locked || (await this.isCurrent(draft.before))) return draft;
      this.retract(draft);
      return null;
    }
    this.written = draft;
    departed();
    try {
      const rows = await draft.rows.sealed(this.sealer);
      if (await this.store.write(draft.before, draft.after, rows)) return draft;
      this.written = null;
      this.retract(draft);
      return null;
    } catch (error) {
      if (!(error instanceof DbError && error.fault === 'lost')) {
        this.written = null;
        this.retract(draft);
      }
      throw error;
    }
  }

  private async load(): Promise<Tip> {
    const tip = await loadTip(this.store.db);
    if (!tip) throw new LedgerUnavailable('the log has no head');
    await this.cache.begin();
    return tip;
  }

  /**
   * Drops what others changed since our tip, and takes the new one. Without the head's lock others may go on meanwhile:
   * what is read after this may be newer than the tip, and then the compare-and-set on the tip fails, and this runs
   * again from there. So memory never holds a chain that was changed before the tip and is not as it was then.
   */
  private async catchUp(): Promise<void> {
    const before = this.tip;
    const tip = await loadTip(this.store.db);
    if (!tip) throw new LedgerUnavailable('the log has no head');
    const grown = before ? tip.size - before.size : 0;
    if (before && grown === 0 && tip.root.equals(before.root)) {
      // Nobody wrote: then it was our clock.
      this.clock.doubt();
    } else if (before && grown > 0 && grown <= this.cached) {
      await this.cache.dropSince(before.size);
    } else {
      // To look for that many changes would cost more than to read anew.
      this.cache.clear();
      await this.cache.begin();
    }
    this.tip = tip;
    this.behind = false;
  }

  private async isCurrent(tip: Tip): Promise<boolean> {
    const [row] = await this.store.db.query<{ size: number }>('SELECT size FROM log_head WHERE id = 1');
    return row?.size === tip.size;
  }

  /** Looks until it is known whether a batch was committed on a connection that broke. */
  private async wasCommitted(lost: Draft): Promise<boolean> {
    const first = firstEntry(lost);
    this.report('ledger.outcome-unknown', { index: first.event.index });
    const giveUp = Date.now() + this.resolveMs;
    for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
      try {
        await this.store.reconnect();
        const found = await this.store.locked(() => this.isThere(first));
        this.broken = false;
        this.written = null;
        return found;
      } catch (error) {
        // Whatever the reason: run again before the outcome is known, the batch might be in the log twice.
        this.report('ledger.outcome-still-unknown', { index: first.event.index, error: nameOf(error) });
        if (Date.now() > giveUp) throw new LedgerUnavailable('the database is away', 5);
        await new Promise<void>((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  private async isThere({ event, entry }: StagedEvent): Promise<boolean> {
    const [row] = await this.store.db.query<{ entry: Buffer }>('SELECT entry FROM entry WHERE idx = ?', [event.index]);
    return row !== undefined && row.entry.equals(entry);
  }

  /** A connection that broke is replaced, and an outcome not learnt in time is learnt, before anything else is signed. */
  private async recover(): Promise<void> {
    if (this.written) {
      await this.wasCommitted(this.written);
      this.forget();
    }
    if (this.broken) {
      await this.store.reconnect();
      this.broken = false;
    }
  }

  private noteLoss(error: unknown): void {
    if (error instanceof DbError && error.fault === 'lost') this.broken = true;
  }
}

/** What is refused now may have been accepted before under the same key: then the repeat gets the first answer. */
function isUnsure(key: Buffer | null, result: Result): boolean {
  return key !== null && wroteNothing(result);
}

export const nameOf = (error: unknown): string =>
  error instanceof DbError ? error.message : error instanceof Error ? error.name : 'unknown';
