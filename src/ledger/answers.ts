import type { Receipt } from './core/record/receipt.js';
import type { GrowingTree } from './core/tlog/merkle.js';
import type { DecidedBatch, Result } from './commit/decided-batch.js';
import type { HeadFile } from './store/head-file.js';
import type { LedgerReader } from './ledger.reader.js';
import type { Item } from './commit/log-tail.js';
import type { Outcome } from './model.js';
import { disclosed } from './store/payload.js';
import type { RememberedRequest } from './store/remembered-requests.js';
import type { StagedEvent } from './commit/staging.js';
import { codeOf, describeFault, LedgerUnavailable, type ReportFault } from './unavailable.js';

/** A command, with the caller who waits for its outcome. */
export interface Waiting extends Item {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Answers committed commands batch by batch, each when its checkpoint is in the head file. */
export class Answers {
  private readonly listeners: ((size: number) => void)[] = [];
  /** Never rejects. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly head: HeadFile,
    private readonly reader: LedgerReader,
    private readonly report: ReportFault,
  ) {}

  /** Calls the listener after each commit of this process with the log's new size. */
  onCommit(listener: (size: number) => void): void {
    this.listeners.push(listener);
  }

  /** Settles when every batch so far is answered. */
  get given(): Promise<unknown> {
    return this.last;
  }

  /**
   * Answers a committed batch, after the head file holds its checkpoint and the previous batches are answered.
   * @returns the error that its callers got when the head file could not be written; null otherwise
   */
  after(batch: readonly Waiting[], decided: DecidedBatch): Promise<LedgerUnavailable | null> {
    const answered = this.answerAfter(this.last, batch, decided);
    this.last = answered;
    return answered;
  }

  private async answerAfter(
    earlier: Promise<unknown>,
    batch: readonly Waiting[],
    decided: DecidedBatch,
  ): Promise<LedgerUnavailable | null> {
    await earlier;
    try {
      if (decided.rows) await this.head.append(decided.after.checkpoint);
    } catch (error) {
      // A commit is not acknowledged unless the head file holds its checkpoint.
      const unavailable = new LedgerUnavailable(`the head file cannot be written (${codeOf(error)})`, 5);
      this.report('ledger.outage', { reason: unavailable.message, commands: batch.length });
      for (const waiting of batch) waiting.reject(unavailable);
      return unavailable;
    }
    for (const [position, result] of decided.results.entries()) {
      const waiting = batch[position] as Waiting;
      try {
        this.answer(waiting, result, decided);
      } catch (error) {
        waiting.reject(error);
      }
    }
    if (decided.rows) this.tell(decided.after.size);
    return null;
  }

  private answer(waiting: Waiting, result: Result, { tree, after }: DecidedBatch): void {
    if (result.kind === 'error') waiting.reject(result.error);
    else if (result.kind === 'refusal') waiting.resolve({ ok: false, refusal: result.refusal });
    else if (result.kind === 'replay') void this.replay(waiting, result.remembered);
    else {
      waiting.resolve({
        ok: true,
        replayed: false,
        events: result.events.map(({ event }) => event),
        receipts: result.events.map((staged) => this.receipt(staged, tree, after.checkpoint)),
        ids: result.ids,
        states: result.states,
      });
    }
  }

  /** A listener's error must not look like the batch's: the batch is committed, and would be run again. */
  private tell(size: number): void {
    for (const listener of this.listeners) {
      try {
        listener(size);
      } catch (error) {
        this.report('ledger.listener-failed', { error: describeFault(error) });
      }
    }
  }

  private async replay({ command, resolve, reject }: Waiting, remembered: RememberedRequest): Promise<void> {
    try {
      resolve(await this.reader.replay(command, remembered));
    } catch (error) {
      reject(error);
    }
  }

  /** @param tree the one that the checkpoint signs */
  receipt({ event, entry, body }: StagedEvent, tree: GrowingTree, checkpoint: string): Receipt {
    return {
      v: 1,
      log: this.reader.origin,
      index: event.index,
      entry: base64(entry),
      proof: tree.inclusion(event.index).map(base64),
      checkpoint,
      ...disclosed(body),
    };
  }
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
