import type { Receipt } from './core/record/receipt.js';
import type { GrowingTree } from './core/tlog/merkle.js';
import type { Draft, Result } from './commit/draft.js';
import type { HeadFile } from './store/head-file.js';
import type { LedgerReader } from './ledger.reader.js';
import { type Item, nameOf, type Report } from './commit/log-end.js';
import type { Outcome } from './model.js';
import { disclosed } from './store/payload.js';
import type { RememberedRequest } from './store/remembered-requests.js';
import type { StagedEvent } from './commit/staging.js';
import { codeOf, LedgerUnavailable } from './unavailable.js';

/** A command with who waits for its outcome. */
export interface Waiting extends Item {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Answers what was committed, in the order of the batches, each behind its checkpoint in the head file. */
export class Answers {
  private readonly listeners: ((size: number) => void)[] = [];
  /** Never rejects. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly head: HeadFile,
    private readonly reader: LedgerReader,
    private readonly report: Report,
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
   * The batch is committed: it is answered once it is remembered outside the database, behind the batches before it.
   * @returns why it was not remembered, and its commands were told so; null when it was
   */
  after(batch: readonly Waiting[], draft: Draft): Promise<LedgerUnavailable | null> {
    const answered = this.answerAfter(this.last, batch, draft);
    this.last = answered;
    return answered;
  }

  private async answerAfter(
    earlier: Promise<unknown>,
    batch: readonly Waiting[],
    draft: Draft,
  ): Promise<LedgerUnavailable | null> {
    await earlier;
    try {
      if (draft.rows) await this.head.append(draft.after.checkpoint);
    } catch (error) {
      // Not in the head file is not acknowledged.
      const unavailable = new LedgerUnavailable(`the head file cannot be written (${codeOf(error)})`, 5);
      this.report('ledger.outage', { reason: unavailable.message, commands: batch.length });
      for (const pending of batch) pending.reject(unavailable);
      return unavailable;
    }
    for (const [position, result] of draft.results.entries()) {
      const pending = batch[position] as Waiting;
      try {
        this.answer(pending, result, draft);
      } catch (error) {
        pending.reject(error);
      }
    }
    if (draft.rows) this.tell(draft.after.size);
    return null;
  }

  private answer(pending: Waiting, result: Result, { tree, after }: Draft): void {
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

  private async replay({ command, resolve, reject }: Waiting, remembered: RememberedRequest): Promise<void> {
    try {
      resolve(await this.reader.replay(command, remembered));
    } catch (error) {
      reject(error);
    }
  }

  /** @param tree that the checkpoint signs */
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
