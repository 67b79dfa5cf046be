import type { Clock } from '../config/clock.js';
import { type Db, DbError, placeholders } from '../database/db.js';
import { type BatchTable, CLOCK_TOLERANCE_MS } from './batch-statement.js';
import { GrowingTree } from './core/merkle.js';
import type { HeadFile } from './head-file.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow } from './chain-head.js';
import { closedHead, HeadCache } from './head-cache.js';
import type { LogKey } from './log-key.js';
import type { Actor, ChainModel, Command, Outcome, Receipt } from './model.js';
import { nodeHasher } from './node-hasher.js';
import type { LedgerReader } from './ledger.reader.js';
import { idempotencyKey, type RememberedRequest, type Staged, type StagedEvent, Staging } from './staging.js';
import type { Store } from './store.js';
import { T } from './tables.js';
import { growTiles, loadTip, type Tip } from './tip.js';
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

/** A queue of up to this many commands is taken whole: below, the cost of a batch itself counts most. */
const WHOLE = 16;

interface Pending {
  readonly command: Command;
  /** Idempotency key as stored, hex; null without one. */
  readonly key: string | null;
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

/** What a batch leads to. */
interface Round {
  readonly tip: Tip;
  readonly tree: GrowingTree;
  readonly staging: Staging;
  readonly results: readonly (Staged | { kind: 'error'; error: unknown })[];
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
  private written: Round | null = null;
  private broken = false;
  private working: Promise<void> | null = null;
  private closed = false;

  constructor(
    private readonly store: Store,
    private readonly tables: readonly BatchTable[],
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
    const key = command.idempotency ? idempotencyKey(this.vault, command.idempotency).toString('hex') : null;
    if (key !== null) {
      if (this.inFlight.has(key))
        return Promise.resolve({ ok: false, refusal: { code: 'idempotency.in-progress', facts: {} } });
      this.inFlight.add(key);
    }
    const done = new Promise<Outcome>((resolve, reject) => this.queue.push({ command, key, resolve, reject }));
    this.wake();
    return key === null ? done : done.finally(() => this.inFlight.delete(key));
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
    this.working ??= this.work().finally(() => {
      this.working = null;
      if (this.hasWork) this.wake();
    });
  }

  private async work(): Promise<void> {
    while (this.hasWork) {
      // Requests that arrived in the same turn of the event loop go together.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const batch = this.queue.splice(0, this.share());
      if (batch.length > 0) await this.batch(batch);
      const sides = this.sides.splice(0);
      if (sides.length > 0) await this.runSides(sides);
      for (const erasure of this.erasures.splice(0)) await this.runErasure(erasure);
    }
  }

  /**
   * How many commands the next batch takes: of a long queue half, so that the rest is on its way through HTTP while
   * the database works, and neither waits for the other.
   */
  private share(): number {
    const waiting = this.queue.length;
    return Math.min(this.options.batch, waiting > WHOLE ? Math.max(WHOLE, Math.ceil(waiting / 2)) : waiting);
  }

  private get hasWork(): boolean {
    return this.queue.length + this.sides.length + this.erasures.length > 0;
  }

  /** Commits a batch; one that fails other than by outage is re-run one command at a time. Never throws. */
  private async batch(batch: Pending[]): Promise<void> {
    try {
      await this.attempt(batch);
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

  private async attempt(batch: Pending[]): Promise<void> {
    let careful = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await this.recover();
      await this.checkClock();
      const lock = attempt >= OPTIMISTIC_ATTEMPTS;
      try {
        const round = lock
          ? await this.store.locked(() => this.once(batch, careful, true))
          : await this.once(batch, careful, false);
        if (round !== null) {
          await this.finish(batch, round);
          return;
        }
        await this.catchUp();
      } catch (error) {
        const fault = error instanceof DbError ? error.fault : null;
        if (fault === 'lost') {
          this.broken = true;
          const lost = this.written;
          if (lost && (await this.wasCommitted(lost))) {
            await this.finish(batch, lost);
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

  /**
   * One attempt: read, decide, write.
   * @returns null when the head moved meanwhile
   */
  private async once(batch: Pending[], careful: boolean, locked: boolean): Promise<Round | null> {
    if (locked) await this.catchUp();
    const tip = (this.tip ??= await this.load());
    const now = this.now(tip);
    const known = await this.cache.read(
      batch.map(({ command }) => command),
      careful,
    );
    const tree = new GrowingTree(nodeHasher, tip.size, tip.frontier);
    const staging = new Staging(this.vault, tree, now, known, this.cache.nextSubject);
    const results = batch.map(({ command }): Round['results'][number] => {
      try {
        return staging.stage(command);
      } catch (error) {
        return { kind: 'error', error };
      }
    });
    if (!careful && results.some((result, at) => batch[at]?.key != null && wroteNothing(result))) {
      // What is refused now may have been accepted before under the same key: the repeat gets the first answer.
      return this.once(batch, true, false);
    }
    if (staging.entries.length === 0) {
      // Refusals too must rest on the newest state: another process may have written since it was read.
      return locked || (await this.isCurrent(tip)) ? { tip, tree, staging, results } : null;
    }
    return this.write({ tip, tree, staging, results }, now);
  }

  /** @returns what the batch led to; null when the head moved */
  private async write({ tip, tree, staging, results }: Round, now: number): Promise<Round | null> {
    const rows = staging.rows(this.tables);
    const { written, partialTiles } = growTiles(tip, tree);
    for (const { level, index, hashes } of written) rows.add(T.tile, [level, index, hashes]);
    const root = Buffer.from(tree.root());
    const after = { size: tree.size, root, time: now, checkpoint: this.key.checkpoint(tree.size, root) };
    const round = { tip: { ...tip, ...after, partialTiles, frontier: tree.frontier() }, tree, staging, results };
    this.written = round;
    try {
      if (await this.store.write(tip, after, rows)) return round;
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
      const round = await this.store.locked(() => this.eraseLocked(subject, actor));
      if (round) {
        await this.finish([], round);
        this.forget();
        this.vault.forget(subject);
      }
      resolve(round?.staging.entries.length ?? 0);
    } catch (error) {
      if (error instanceof DbError && error.fault === 'lost') this.broken = true;
      this.forget();
      reject(asUnavailable(error) ?? error);
    }
  }

  private async eraseLocked(subject: string, actor: Actor): Promise<Round | null> {
    await this.catchUp();
    const tip = (this.tip ??= await this.load());
    const { db } = this.store;
    const rows = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE s.id = ? ORDER BY c.num`, [
      subject,
    ]);
    if (rows.length === 0) return null;
    const now = this.now(tip);
    const tree = new GrowingTree(nodeHasher, tip.size, tip.frontier);
    const nothing = { heads: new Map(), names: new Map(), requests: new Map(), subjects: new Map() };
    const staging = new Staging(this.vault, tree, now, nothing, this.cache.nextSubject);
    const model = (kind: string): ChainModel => {
      const found = this.models.find((one) => one.kind === kind);
      if (!found) throw new Error(`no model of kind ${kind}`);
      return found;
    };
    for (const row of rows) staging.erase(closedHead(row, false), model(row.kind), actor);
    const chains = rows.map(({ num }) => num);
    const ended = staging.entries.map(({ event }) => event.index);
    const round = await this.write({ tip, tree, staging, results: [] }, now);
    if (!round) throw new LedgerUnavailable('the log is busy');
    const ofChains = placeholders(chains);
    await db.query(
      `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain IN ${ofChains}) AND idx NOT IN ${placeholders(ended)}`,
      [...chains, ...ended],
    );
    for (const { table } of [{ table: 'name' }, ...this.models.flatMap(({ readModels }) => readModels)]) {
      await db.query(`DELETE FROM ${table} WHERE chain IN ${ofChains}`, chains);
    }
    await db.query('DELETE FROM subject WHERE id = ?', [subject]);
    return round;
  }

  /** The batch is committed: remember it outside the database, then answer. */
  private async finish(batch: Pending[], { tip, tree, staging, results }: Round): Promise<void> {
    this.written = null;
    const wrote = staging.entries.length > 0;
    if (wrote) {
      this.tip = tip;
      this.cache.put(staging);
      // Not in the head file is not acknowledged; the batch must not be run again either, for it is committed.
      await this.head.append(tip.checkpoint).catch((error: unknown) => {
        throw new LedgerUnavailable(`the head file cannot be written (${(error as NodeJS.ErrnoException).code})`, 5);
      });
    }
    const receipts = new Map(
      staging.entries.map((staged) => [staged.event.index, this.receipt(staged, tree, tip.checkpoint)]),
    );
    for (const [position, result] of results.entries()) {
      const pending = batch[position] as Pending;
      if (result.kind === 'error') pending.reject(result.error);
      else if (result.kind === 'refusal') pending.resolve({ ok: false, refusal: result.refusal });
      else if (result.kind === 'replay') void this.replay(pending, result.remembered);
      else {
        pending.resolve({
          ok: true,
          replayed: false,
          events: result.events.map(({ event }) => event),
          receipts: result.events.map(({ event }) => receipts.get(event.index) as Receipt),
          ids: result.ids,
          states: result.states,
        });
      }
    }
    if (wrote) this.tell(tip.size);
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

  private async checkClock(): Promise<void> {
    const started = this.clock.now();
    if (started - this.clockChecked < CLOCK_CHECK_MS) return;
    const theirs = await this.store.clock();
    const ours = (started + this.clock.now()) / 2;
    if (theirs !== null && Math.abs(theirs - ours) > CLOCK_TOLERANCE_MS) {
      throw new LedgerUnavailable("this machine's clock is off the database's", 60);
    }
    this.clockOffset = theirs === null ? 0 : Math.round(theirs - ours);
    this.clockChecked = started;
  }

  private forget(): void {
    this.tip = null;
    this.cache.clear();
  }

  /** Looks until it is known whether a batch was committed on a connection that broke. */
  private async wasCommitted({ staging }: Round): Promise<boolean> {
    const first = staging.entries[0] as StagedEvent;
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

function wroteNothing(result: Round['results'][number]): boolean {
  return result.kind === 'refusal' || (result.kind === 'events' && result.events.length === 0);
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
const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
