import type { Clock } from '../config/clock.js';
import { type Db, DbError } from '../database/db.js';
import { type BatchTable, CLOCK_TOLERANCE_MS } from './batch-statement.js';
import type { GrowingTree } from './core/merkle.js';
import { type Desk, type Draft, firstEntry, openStaging, type Result, seal, stage, wroteNothing } from './draft.js';
import { deleteErased, draftErasure } from './erasure.js';
import type { HeadFile } from './head-file.js';
import { HeadCache } from './head-cache.js';
import type { LogKey } from './log-key.js';
import type { Actor, ChainModel, Command, Outcome, Receipt } from './model.js';
import type { LedgerReader } from './ledger.reader.js';
import { idempotencyKey, type RememberedRequest, type StagedEvent, type Staging } from './staging.js';
import type { Store } from './store.js';
import { loadTip, type Tip } from './tip.js';
import { LedgerUnavailable } from './unavailable.js';
import type { Vault } from './vault.js';

/** Compare-and-set attempts before the head's lock is taken instead, so that a busy neighbour starves nobody. */
const OPTIMISTIC_ATTEMPTS = 2;
/** Attempts at one batch in all. */
const ATTEMPTS = 8;
/** Default of {@link WriterOptions.resolveMs}. */
const RESOLVE_MS = 15_000;
/** How often the offset to the database's clock is measured. */
const CLOCK_CHECK_MS = 60_000;

/** A queue of up to this many commands goes in one batch: below, the cost of a batch itself counts most. */
const WHOLE = 16;

interface Pending {
  readonly command: Command;
  /** Idempotency key as stored; null without one. */
  readonly key: Buffer | null;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Side {
  /** Runs the job; what it gives hands the result to the caller, once the transaction is committed. */
  run(db: Db): Promise<() => void>;
  readonly reject: (error: unknown) => void;
}

interface Erasure {
  readonly subject: string;
  readonly actor: Actor;
  readonly resolve: (chains: number) => void;
  readonly reject: (error: unknown) => void;
}

/** A batch that is decided while the one before it is being written. */
interface Ahead {
  readonly epoch: number;
  readonly tip: Tip;
  readonly now: number;
  readonly batch: Pending[];
  readonly results: Result[];
  readonly tree: GrowingTree;
  readonly staging: Staging;
}

export interface WriterOptions {
  /** Most commands in one batch. */
  readonly batch: number;
  /** Most commands waiting; beyond that {@link LedgerUnavailable}. */
  readonly queue: number;
  /** Decrypted chain heads kept in memory. */
  readonly cache: number;
  /** How long the outcome of a lost batch is looked for before its callers are told 503, in milliseconds. */
  readonly resolveMs?: number;
}

/**
 * The only writer of this process (design 3, group commit). While one batch is being committed, arrivals
 * queue; the next batch takes them all. Several processes write to one log by compare-and-set on its head.
 */
export class LedgerWriter {
  private readonly queue: Pending[] = [];
  private readonly sides: Side[] = [];
  private readonly erasures: Erasure[] = [];
  private readonly inFlight = new Set<string>();
  private readonly cache: HeadCache;
  private readonly listeners: ((size: number) => void)[] = [];
  private tip: Tip | null = null;
  private clockOffset = 0;
  private clockChecked = Number.NEGATIVE_INFINITY;
  /** The batch that is being written, until its outcome is known. */
  private written: Draft | null = null;
  /** Raised when a batch fails: what was decided on the state that it would have left counts for nothing. */
  private epoch = 0;
  /** The batch on its way; settles when it is committed or has failed. Never rejects. */
  private flight: Promise<void> | null = null;
  /** Settles when the flight is decided and handed to the database: from then on its end of the log can be built on. */
  private departure: Promise<void> = Promise.resolve();
  private depart: () => void = () => undefined;
  /** Answers in the order of the batches, each behind its checkpoint in the head file. Never rejects. */
  private answers: Promise<void> = Promise.resolve();
  private arrived: () => void = () => undefined;
  private readonly desk: Desk;
  private broken = false;
  private working: Promise<void> | null = null;
  private closed = false;

  constructor(
    private readonly store: Store,
    tables: readonly BatchTable[],
    private readonly models: readonly ChainModel[],
    private readonly vault: Vault,
    private readonly key: LogKey,
    private readonly head: HeadFile,
    private readonly reader: LedgerReader,
    private readonly clock: Clock,
    private readonly options: WriterOptions,
    /** Told what went wrong, without values; the process goes on. */
    private readonly report: (event: string, detail: Record<string, string | number>) => void,
  ) {
    this.cache = new HeadCache(store.db, vault, options.cache);
    this.desk = { vault, key, tables };
  }

  get origin(): string {
    return this.key.origin;
  }

  get vkey(): string {
    return this.key.vkey;
  }

  /** Commands that wait for the next batch. */
  get waiting(): number {
    return this.queue.length;
  }

  /**
   * Records what `decide` answers.
   *
   * A resolved promise MUST mean: the events are committed with fsync, the checkpoint that covers them is in the
   * head file with fdatasync, and the receipts verify. A refusal MUST mean that nothing was written.
   * An error MUST NOT be taken for "not written" unless the caller's idempotency key answers so on retry.
   * @throws {LedgerUnavailable} on outage, full queue or a clock that is off
   */
  commit(command: Command): Promise<Outcome> {
    if (this.closed) return Promise.reject(new LedgerUnavailable('the ledger is closing'));
    if (this.queue.length >= this.options.queue)
      return Promise.reject(new LedgerUnavailable('too many writes are waiting', 2));
    if (!command.idempotency) return this.enqueue(command, null);
    const key = idempotencyKey(this.vault, command.idempotency);
    const name = key.toString('latin1');
    if (this.inFlight.has(name)) {
      return Promise.resolve({ ok: false, refusal: { code: 'idempotency.in-progress', facts: {} } });
    }
    this.inFlight.add(name);
    return this.enqueue(command, key).finally(() => this.inFlight.delete(name));
  }

  private enqueue(command: Command, key: Buffer | null): Promise<Outcome> {
    const done = new Promise<Outcome>((resolve, reject) => this.queue.push({ command, key, resolve, reject }));
    this.wake();
    return done;
  }

  /**
   * Runs a job on the writer's connection in a transaction, between batches: for rows that are no events.
   * Jobs that wait together share a transaction; when one fails they are run one by one. A job may run twice.
   * @throws what the job throws; {@link LedgerUnavailable} on outage
   */
  side<T>(job: (db: Db) => Promise<T>): Promise<T> {
    if (this.closed) return Promise.reject(new LedgerUnavailable('the ledger is closing'));
    return new Promise<T>((resolve, reject) => {
      this.sides.push({
        run: async (db) => {
          const result = await job(db);
          return () => resolve(result);
        },
        reject,
      });
      this.wake();
    });
  }

  /**
   * Forgets a subject (design 3): ends EVERY chain of theirs with `erased/1` and deletes key, payloads, snapshots,
   * read-model rows and names, in one transaction. The entries stay. Whether it may be done is the caller's to know.
   * @returns how many chains were ended; 0 for a subject that is not known or is erased already
   * @throws {LedgerUnavailable} on outage
   */
  erase(subject: string, actor: Actor): Promise<number> {
    if (this.closed) return Promise.reject(new LedgerUnavailable('the ledger is closing'));
    return new Promise<number>((resolve, reject) => {
      this.erasures.push({ subject, actor, resolve, reject });
      this.wake();
    });
  }

  /** Calls the listener after each commit of this process with the log's new size. */
  onCommit(listener: (size: number) => void): void {
    this.listeners.push(listener);
  }

  /** Takes no more, finishes what waits. */
  async close(): Promise<void> {
    this.closed = true;
    while (this.working) await this.working;
  }

  private wake(): void {
    this.arrived();
    this.working ??= this.work().finally(() => {
      this.working = null;
      if (this.hasWork) this.wake();
    });
  }

  private async work(): Promise<void> {
    while (this.hasWork || this.flight) {
      await this.advance();
      if (this.sides.length + this.erasures.length === 0) continue;
      await this.flight;
      const sides = this.sides.splice(0);
      if (sides.length > 0) await this.runSides(sides);
      for (const erasure of this.erasures.splice(0)) await this.runErasure(erasure);
    }
    await this.answers;
  }

  /**
   * Sends off the next batch: behind an idle log what arrived in this turn of the event loop, behind a batch that is
   * on its way what arrives until it is there, decided meanwhile on the state that it will leave.
   */
  private async advance(): Promise<void> {
    if (!this.flight) await new Promise<void>((resolve) => setImmediate(resolve));
    const ahead = this.flight ? await this.decideAhead(this.flight) : null;
    await this.flight;
    const draft = ahead && ahead.batch.length > 0 && ahead.epoch === this.epoch ? this.sealAhead(ahead) : null;
    if (ahead && draft) return this.send(ahead.batch, draft);
    // What was decided on a batch that failed is decided anew.
    const again = ahead?.batch ?? [];
    // Of a long queue half: the other half is decided while this one is on its way, and so they go on in turn.
    const share = this.queue.length > WHOLE ? Math.ceil(this.queue.length / 2) : this.queue.length;
    const batch = [...again, ...this.queue.splice(0, Math.min(share, this.options.batch - again.length))];
    if (batch.length > 0) this.send(batch, null);
  }

  private watch(flight: Promise<void>): { done: boolean } {
    const landing = { done: false };
    void flight.finally(() => {
      landing.done = true;
    });
    return landing;
  }

  private sealAhead({ tip, now, tree, staging, results }: Ahead): Draft | null {
    try {
      return this.project(seal(this.desk, tip, now, tree, staging, results));
    } catch {
      // The ordinary way meets the same fault, and finds out whose it is.
      return null;
    }
  }

  private send(batch: Pending[], draft: Draft | null): void {
    this.departure = new Promise((resolve) => (this.depart = resolve));
    const flight = this.batch(batch, draft).finally(() => {
      if (this.flight === flight) this.flight = null;
    });
    this.flight = flight;
  }

  /**
   * Decides arrivals until the flight is there, from memory alone, for the connection is busy.
   * @returns null when anything is out of order: the ordinary way finds out
   */
  private async decideAhead(flight: Promise<void>): Promise<Ahead | null> {
    const landing = this.watch(flight);
    await Promise.race([flight, this.departure]);
    const { tip } = this;
    if (landing.done || !tip || this.broken || this.clockIsDue) return null;
    const clock = this.clock.now() + this.clockOffset;
    if (tip.time > clock + CLOCK_TOLERANCE_MS) return null;
    const now = Math.max(clock, tip.time);
    const batch: Pending[] = [];
    const results: Result[] = [];
    const { tree, staging } = openStaging(this.desk, tip, now, this.cache.nextSubject);
    const ahead = { epoch: this.epoch, tip, now, batch, results, tree, staging };
    while (!landing.done) {
      for (let next = this.queue[0]; next && batch.length < this.options.batch; next = this.queue[0]) {
        const known = this.cache.peek(next.command);
        if (!known) return ahead;
        staging.learn(known);
        const result = stage(staging, next.command, next.key);
        if (isUnsure(next, result)) return ahead;
        batch.push(next);
        results.push(result);
        this.queue.shift();
      }
      // Rows that are no events wait for the connection, too: they go between this batch and the next.
      const arrival = new Promise<void>((resolve) => (this.arrived = resolve));
      await Promise.race([flight, arrival]);
    }
    return ahead;
  }

  private get hasWork(): boolean {
    return this.queue.length + this.sides.length + this.erasures.length > 0;
  }

  /** Commits a batch; one that fails other than by outage is re-run one command at a time. Never throws. */
  private async batch(batch: Pending[], ahead: Draft | null = null): Promise<void> {
    try {
      await this.attempt(batch, ahead);
    } catch (error) {
      this.forget();
      const outage = asUnavailable(error);
      if (outage) {
        this.report('ledger.outage', { reason: outage.message, commands: batch.length });
        for (const pending of batch) pending.reject(outage);
      } else if (batch.length === 1) {
        this.report('ledger.command-failed', { error: nameOf(error) });
        batch[0]?.reject(error);
      } else {
        this.report('ledger.batch-rerun', { error: nameOf(error), commands: batch.length });
        for (const pending of batch) await this.batch([pending]);
      }
    }
  }

  private async attempt(batch: Pending[], ahead: Draft | null): Promise<void> {
    let careful = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const lock = attempt >= OPTIMISTIC_ATTEMPTS;
      try {
        let draft: Draft | null;
        if (attempt === 0 && ahead) draft = await this.write(ahead, false);
        else {
          await this.recover();
          await this.checkClock();
          const once = async (): Promise<Draft | null> => this.write(await this.draft(batch, careful, lock), lock);
          draft = lock ? await this.store.locked(once) : await once();
        }
        if (draft) {
          this.finish(batch, draft);
          return;
        }
        this.forget();
        this.clockChecked = Number.NEGATIVE_INFINITY;
      } catch (error) {
        const fault = error instanceof DbError ? error.fault : null;
        if (fault === 'lost') {
          this.broken = true;
          const lost = this.written;
          if (lost && (await this.wasCommitted(lost))) {
            this.finish(batch, lost);
            return;
          }
        }
        // A name, a chain id or an idempotency key was taken after all: read them this time.
        if (fault !== 'conflict' || careful) throw error;
        careful = true;
        this.forget();
      }
    }
    throw new LedgerUnavailable('the log is busy');
  }

  /** Reads and decides. */
  private async draft(batch: readonly Pending[], careful: boolean, locked: boolean): Promise<Draft> {
    if (locked) await this.catchUp();
    const tip = (this.tip ??= await this.load());
    const now = this.now(tip);
    const commands = batch.map(({ command }) => command);
    const known = await this.cache.read(commands, careful);
    const { tree, staging } = openStaging(this.desk, tip, now, this.cache.nextSubject);
    staging.learn(known);
    const results = batch.map(({ command, key }) => stage(staging, command, key));
    const unsure = batch.some((pending, at) => isUnsure(pending, results[at] as Result));
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
  private async write(draft: Draft, locked: boolean): Promise<Draft | null> {
    if (!draft.rows) {
      // Refusals too must rest on the newest state: another process may have written since it was read.
      return locked || (await this.isCurrent(draft.before)) ? draft : null;
    }
    this.written = draft;
    this.depart();
    try {
      if (await this.store.write(draft.before, draft.after, draft.rows)) return draft;
      this.written = null;
      return null;
    } catch (error) {
      if (!(error instanceof DbError && error.fault === 'lost')) this.written = null;
      throw error;
    }
  }

  private async runErasure({ subject, actor, resolve, reject }: Erasure): Promise<void> {
    try {
      await this.recover();
      await this.checkClock();
      const draft = await this.store.locked(async () => {
        await this.catchUp();
        const tip = (this.tip ??= await this.load());
        const drafted = await draftErasure(this.store.db, this.desk, this.models, tip, this.now(tip), subject, actor);
        if (!drafted) return null;
        if (!(await this.write(drafted, true))) throw new LedgerUnavailable('the log is busy');
        await deleteErased(this.store.db, this.models, drafted, subject);
        return drafted;
      });
      if (draft) {
        this.finish([], draft);
        this.forget();
        await this.answers;
      }
      resolve(draft?.staging.entries.length ?? 0);
    } catch (error) {
      if (error instanceof DbError && error.fault === 'lost') this.broken = true;
      this.forget();
      reject(asUnavailable(error) ?? error);
    }
  }

  /** The batch is committed: it is answered once it is remembered outside the database, behind the batches before it. */
  private finish(batch: readonly Pending[], draft: Draft): void {
    this.written = null;
    this.answers = this.answerAfter(this.answers, batch, draft);
  }

  private async answerAfter(earlier: Promise<void>, batch: readonly Pending[], draft: Draft): Promise<void> {
    await earlier;
    try {
      if (draft.rows) await this.head.append(draft.after.checkpoint);
    } catch (error) {
      // Not in the head file is not acknowledged.
      const unavailable = new LedgerUnavailable(`the head file cannot be written (${codeOf(error)})`, 5);
      this.report('ledger.outage', { reason: unavailable.message, commands: batch.length });
      for (const pending of batch) pending.reject(unavailable);
      return;
    }
    for (const [position, result] of draft.results.entries()) this.answer(batch[position] as Pending, result, draft);
    if (draft.rows) this.tell(draft.after.size);
  }

  private answer(pending: Pending, result: Result, { tree, after }: Draft): void {
    if (result.kind === 'error') pending.reject(result.error);
    else if (result.kind === 'refusal') pending.resolve({ ok: false, refusal: result.refusal });
    else if (result.kind === 'replay') void this.replay(pending, result.remembered);
    else {
      pending.resolve({
        ok: true,
        replayed: false,
        events: result.events.map(({ event }) => event),
        receipts: result.events.map((staged) => this.receipt(staged, tree, after.checkpoint)),
        ids: result.ids,
        states: result.states,
      });
    }
  }

  /** The batch is committed and answered: a listener's fault must not look like the batch's, which would be run again. */
  private tell(size: number): void {
    for (const listener of this.listeners) {
      try {
        listener(size);
      } catch (error) {
        this.report('ledger.listener-failed', { error: nameOf(error) });
      }
    }
  }

  private async replay({ command, resolve, reject }: Pending, remembered: RememberedRequest): Promise<void> {
    try {
      resolve(await this.reader.replay(command, remembered));
    } catch (error) {
      reject(error);
    }
  }

  private receipt({ event, entry, salt, text }: StagedEvent, tree: GrowingTree, checkpoint: string): Receipt {
    return {
      v: 1,
      log: this.origin,
      index: event.index,
      entry: base64(entry),
      proof: tree.inclusion(event.index).map(base64),
      checkpoint,
      payload: Buffer.from(text).toString('base64'),
      salt: base64(salt),
    };
  }

  private async load(): Promise<Tip> {
    const tip = await loadTip(this.store.db);
    if (!tip) throw new LedgerUnavailable('the log has no head');
    await this.cache.begin();
    return tip;
  }

  /** Drops what others changed since our tip, and takes the new one. */
  private async catchUp(): Promise<void> {
    const before = this.tip;
    const tip = await loadTip(this.store.db);
    if (!tip) throw new LedgerUnavailable('the log has no head');
    if (before && tip.size === before.size && tip.root.equals(before.root)) {
      this.clockChecked = Number.NEGATIVE_INFINITY;
      return;
    }
    if (before) await this.cache.dropSince(before.size);
    else await this.cache.begin();
    this.tip = tip;
  }

  private async isCurrent(tip: Tip): Promise<boolean> {
    const [row] = await this.store.db.query<{ size: number }>('SELECT size FROM log_head WHERE id = 1');
    return row?.size === tip.size;
  }

  /** The batch's instant: never before the previous entry, never far from the database's clock. */
  private now(tip: Tip): number {
    const now = this.clock.now() + this.clockOffset;
    if (tip.time > now + CLOCK_TOLERANCE_MS) throw new LedgerUnavailable('the log is ahead of the clock', 60);
    return Math.max(now, tip.time);
  }

  private get clockIsDue(): boolean {
    return this.clock.now() - this.clockChecked >= CLOCK_CHECK_MS;
  }

  private async checkClock(): Promise<void> {
    if (!this.clockIsDue) return;
    const started = this.clock.now();
    const theirs = await this.store.clock();
    const ours = (started + this.clock.now()) / 2;
    if (theirs !== null && Math.abs(theirs - ours) > CLOCK_TOLERANCE_MS) {
      throw new LedgerUnavailable("this machine's clock is off the database's", 60);
    }
    this.clockOffset = theirs === null ? 0 : Math.round(theirs - ours);
    this.clockChecked = started;
  }

  private forget(): void {
    this.epoch++;
    this.tip = null;
    this.cache.clear();
  }

  /** Looks until it is known whether a batch was committed on a connection that broke. */
  private async wasCommitted(lost: Draft): Promise<boolean> {
    const first = firstEntry(lost);
    this.report('ledger.outcome-unknown', { index: first.event.index });
    const giveUp = Date.now() + (this.options.resolveMs ?? RESOLVE_MS);
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

  private async runSides(sides: Side[]): Promise<void> {
    try {
      await this.recover();
      const settles = await this.store.transaction(async () => {
        const results: (() => void)[] = [];
        for (const side of sides) results.push(await side.run(this.store.db));
        return results;
      });
      for (const settle of settles) settle();
    } catch (error) {
      if (error instanceof DbError && error.fault === 'lost') this.broken = true;
      const outage = asUnavailable(error);
      if (outage || sides.length === 1) for (const side of sides) side.reject(outage ?? error);
      else for (const side of sides) await this.runSides([side]);
    }
  }
}

/** What is refused now may have been accepted before under the same key: then the repeat gets the first answer. */
function isUnsure({ key }: Pending, result: Result): boolean {
  return key !== null && wroteNothing(result);
}

function asUnavailable(error: unknown): LedgerUnavailable | null {
  if (error instanceof LedgerUnavailable) return error;
  if (error instanceof DbError && (error.fault === 'lost' || error.fault === 'outage')) {
    return new LedgerUnavailable(error.message, error.fault === 'lost' ? 5 : 1);
  }
  return null;
}

const nameOf = (error: unknown): string =>
  error instanceof DbError ? error.message : error instanceof Error ? error.name : 'unknown';
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown';
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
