import type { Receipt } from './core/record/receipt.js';
import type { Clock } from '../time/clock.js';
import { type Db, isConflict } from '../database/db.js';
import { Answers, type Waiting } from './answers.js';
import type { BatchTable } from './store/batch-statement.js';
import { LOG_CHAIN } from './core/record/entry.js';
import type { IdFile } from './store/id-file.js';
import { type Erased, type ErasureOptions, type ErasureOutcome, eraseSubject } from './commit/erasure-batch.js';
import type { HeadFile } from './store/head-file.js';
import type { LedgerReader } from './ledger.reader.js';
import { LogTail } from './commit/log-tail.js';
import type { LogKey } from './crypto/log-key.js';
import type { LogKeys } from './keys/log-key-files.js';
import type { Actor, ChainModel, Command, Outcome } from './model.js';
import { type ObserveBatch, Pipeline } from './commit/pipeline.js';
import { rotateKey } from './commit/rotation-batch.js';
import { idempotencyKey } from './store/remembered-requests.js';
import type { Store } from './store/store.js';
import { asUnavailable, LedgerUnavailable, codeOf, type ReportFault } from './unavailable.js';
import type { Vault } from './keys/vault.js';

/** Default of {@link WriterOptions.resolveMs}. */
const RESOLVE_MS = 15_000;

interface Side {
  /** Runs the job. Its result is a function that answers the caller; call that after the commit. */
  run(db: Db): Promise<() => void>;
  readonly reject: (error: unknown) => void;
}

/** Whoever waits for a result. */
interface Waiter<T> {
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
}

interface Erasure extends Waiter<ErasureOutcome> {
  readonly subject: string;
  readonly actor: Actor;
  readonly options: ErasureOptions;
}

interface Rotation extends Waiter<Receipt | null> {
  readonly next: LogKey;
  /** Verifier key. */
  readonly from: string;
}

export interface WriterOptions {
  /** Most commands in one batch. */
  readonly batch: number;
  /** Most commands waiting, and as many side jobs, and erasures; beyond that {@link LedgerUnavailable}. */
  readonly queue: number;
  /** Decrypted chain heads kept in memory. */
  readonly cache: number;
  /** How long the outcome of a lost batch is sought before its callers get 503, ms. */
  readonly resolveMs?: number;
}

/**
 * The only writer of this process (design 3, group commit). While one batch is being committed, arrivals
 * queue; the next batch takes them all. Several processes write to one log by compare-and-set on its head.
 */
export class LedgerWriter {
  private readonly queue: Waiting[] = [];
  private readonly sides: Side[] = [];
  private readonly erasures: Erasure[] = [];
  private readonly rotations: Rotation[] = [];
  /** Idempotency keys of commands that are not answered yet. */
  private readonly inProgress = new Set<string>();
  private readonly tail: LogTail;
  private readonly pipeline: Pipeline;
  private readonly answers: Answers;
  private observer: ObserveBatch | null = null;
  private working: Promise<void> | null = null;
  private closed = false;

  constructor(
    store: Store,
    tables: readonly BatchTable[],
    private readonly models: readonly ChainModel[],
    private readonly vault: Vault,
    private readonly keys: LogKeys,
    head: HeadFile,
    private readonly erased: IdFile,
    reader: LedgerReader,
    clock: Clock,
    private readonly options: WriterOptions,
    private readonly report: ReportFault,
  ) {
    const { batch, cache, resolveMs = RESOLVE_MS } = options;
    this.answers = new Answers(head, reader, report);
    this.tail = new LogTail(store, { vault, keys, tables }, clock, cache, resolveMs, report);
    this.pipeline = new Pipeline(this.tail, this.answers, this.queue, batch, report, (fate) => this.observer?.(fate));
  }

  get origin(): string {
    return this.keys.origin;
  }

  /** Verifier key with which this process signed last. Another process may have replaced it since. */
  get vkey(): string {
    return this.keys.vkey;
  }

  /** Commands that wait for the next batch. */
  get waiting(): number {
    return this.queue.length;
  }

  /**
   * Records the events that `decide` returns.
   *
   * A resolved promise MUST mean: the events are committed with fsync, their checkpoint is in the head file with
   * fdatasync, and the receipts verify. A refusal MUST mean that nothing was written. An error does NOT mean that: only
   * a retry with the same idempotency key tells.
   * @throws {LedgerUnavailable} on outage, full queue or a clock that is off
   */
  commit(command: Command): Promise<Outcome> {
    const full = this.pushBack(this.queue);
    if (full) return Promise.reject(full);
    const enqueue = (key: Buffer | null) =>
      this.inLine<Outcome, Waiting>(this.queue, (waiter) => ({ command, key, ...waiter }));
    if (!command.idempotency) return enqueue(null);
    const key = idempotencyKey(this.vault, command.idempotency);
    const name = key.toString('latin1');
    if (this.inProgress.has(name)) {
      return Promise.resolve({ ok: false, refusal: { code: 'idempotency.in-progress', facts: {} } });
    }
    this.inProgress.add(name);
    return enqueue(key).finally(() => this.inProgress.delete(name));
  }

  /**
   * Runs a job on the writer's connection in a transaction, between batches: for rows other than events. Jobs that wait
   * together share a transaction; when one fails they run one by one. A job may run twice.
   * @throws what the job throws; {@link LedgerUnavailable} on outage or a full queue
   */
  side<T>(job: (db: Db) => Promise<T>): Promise<T> {
    return this.inLine<T, Side>(this.sides, ({ resolve, reject }) => ({
      run: async (db) => {
        const result = await job(db);
        return () => resolve(result);
      },
      reject,
    }));
  }

  /**
   * Erases a subject (design 3): ends EVERY chain of theirs with `erased/1` and deletes key, payloads, snapshots,
   * read-model rows, names and the patient's accounts, in one transaction. The entries stay. `options.decide` may
   * refuse it. For a subject that is already erased, the outcome of the first time is returned.
   *
   * A resolved promise MUST mean, besides what {@link commit} promises, that the subjects and their chains are in the
   * file of erased ids. If the erasure is committed but not in the file yet, the next start or the next call writes it.
   * @throws {LedgerUnavailable} on outage or a full queue; an outage of the head file or of the file of erased ids does
   * not undo the erasure. {TypeError} for the log chain, which holds nobody's data
   */
  erase(subject: string, actor: Actor, options: ErasureOptions = {}): Promise<ErasureOutcome> {
    if (subject === LOG_CHAIN) return Promise.reject(new TypeError('the log chain is never erased'));
    return this.inLine<ErasureOutcome, Erasure>(this.erasures, (waiter) => ({ subject, actor, options, ...waiter }));
  }

  /**
   * Replaces the log's signing key (design 3) in a batch of its own. The event and the checkpoint of that batch are
   * signed by both keys, and the checkpoint is published. Afterwards no process signs with the old key. Before this
   * call, the new key MUST be durable where all processes of the log find it.
   * @returns the receipt of the event with that checkpoint; null when another process replaced the key meanwhile
   * @throws {LedgerUnavailable} on outage; the log's head then shows whether it was done
   */
  replaceKey(next: LogKey): Promise<Receipt | null> {
    return this.inLine<Receipt | null, Rotation>(this.rotations, (waiter) => ({ next, from: this.vkey, ...waiter }));
  }

  /**
   * Follows an erasure by another process: drops keys and states from memory and adds the ids to this machine's file.
   * @throws {LedgerUnavailable}
   */
  async noteErased({ ids }: Erased): Promise<void> {
    // A side job runs while no batch is on its way.
    await this.side(() => Promise.resolve(this.tail.forget()));
    await this.file(ids);
  }

  /** Calls the listener after each commit of this process with the log's new size. */
  onCommit(listener: (size: number) => void): void {
    this.answers.onCommit(listener);
  }

  /** Sets the observer of all batches from now on. */
  observe(observer: ObserveBatch): void {
    this.observer = observer;
  }

  /** Takes no more work, and finishes waiting work. */
  async close(): Promise<void> {
    this.closed = true;
    while (this.working) await this.working;
    await this.tail.close();
  }

  /**
   * Each queue has its own limit: a flood of sign-ins must not block prescriptions.
   * @returns null while there is room
   */
  private pushBack(line: readonly unknown[]): LedgerUnavailable | null {
    if (this.closed) return new LedgerUnavailable('the ledger is closing');
    return line.length < this.options.queue ? null : new LedgerUnavailable('too many writes are waiting', 2);
  }

  /** Appends a job to its queue. @throws {LedgerUnavailable} when the queue is full */
  private inLine<T, J>(line: J[], job: (waiter: Waiter<T>) => J): Promise<T> {
    const full = this.pushBack(line);
    if (full) return Promise.reject(full);
    return new Promise<T>((resolve, reject) => {
      line.push(job({ resolve, reject }));
      this.wake();
    });
  }

  private wake(): void {
    this.pipeline.arrived();
    this.working ??= this.work().finally(() => {
      this.working = null;
      if (this.hasWork) this.wake();
    });
  }

  private async work(): Promise<void> {
    while (this.hasWork || this.pipeline.writing) {
      await this.pipeline.advance();
      if (this.sides.length + this.erasures.length + this.rotations.length === 0) continue;
      await this.pipeline.writing;
      const sides = this.sides.splice(0);
      if (sides.length > 0) await this.runSides(sides);
      for (const erasure of this.erasures.splice(0)) await this.runErasure(erasure);
      for (const rotation of this.rotations.splice(0)) await this.runRotation(rotation);
    }
    await this.answers.given;
  }

  private get hasWork(): boolean {
    return this.queue.length + this.sides.length + this.erasures.length + this.rotations.length > 0;
  }

  private async runErasure({ subject, actor, options, resolve, reject }: Erasure): Promise<void> {
    try {
      const { outcome, batch } = await this.tail.underHeadLock((locked) =>
        eraseSubject(locked, this.models, subject, actor, options),
      );
      const unwritten = batch && (await this.answers.after([], batch));
      if (unwritten) throw unwritten;
      if (outcome.ok && outcome.ids.length > 0) await this.file(outcome.ids);
      resolve(outcome);
    } catch (error) {
      reject(asUnavailable(error) ?? error);
    }
  }

  private async runRotation({ next, from, resolve, reject }: Rotation): Promise<void> {
    try {
      const replace = () => this.tail.underHeadLock((locked) => rotateKey(locked, next, from));
      // A conflict means that another process published a checkpoint at that moment: try again after it.
      const batch = await replace().catch((error: unknown) => (isConflict(error) ? replace() : Promise.reject(error)));
      if (batch) this.keys.take(next);
      const unwritten = batch && (await this.answers.after([], batch));
      if (unwritten) throw unwritten;
      const [event] = batch?.staging.entries ?? [];
      resolve(batch && event ? this.answers.receipt(event, batch.tree, batch.after.checkpoint) : null);
    } catch (error) {
      reject(asUnavailable(error) ?? error);
    }
  }

  /** @throws {LedgerUnavailable} */
  private async file(ids: readonly string[]): Promise<void> {
    try {
      await this.erased.add(ids);
    } catch (error) {
      const unavailable = new LedgerUnavailable(`the file of erased ids cannot be written (${codeOf(error)})`, 5);
      this.report('ledger.outage', { reason: unavailable.message, commands: 1 });
      throw unavailable;
    }
  }

  private async runSides(sides: Side[]): Promise<void> {
    try {
      const settles = await this.tail.transaction(async (db) => {
        const results: (() => void)[] = [];
        for (const side of sides) results.push(await side.run(db));
        return results;
      });
      for (const settle of settles) settle();
    } catch (error) {
      const outage = asUnavailable(error);
      if (outage || sides.length === 1) for (const side of sides) side.reject(outage ?? error);
      else for (const side of sides) await this.runSides([side]);
    }
  }
}
