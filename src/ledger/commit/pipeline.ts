/**
 * The way of a batch, and who waits for whom.
 *
 * A command is queued, decided, written, remembered, answered. Commands take the first three of these steps in
 * batches, and two batches are on their way at most: one is being written, and the next is being decided.
 *
 * - A caller waits until its command is answered.
 * - A command waits in the queue until a batch takes it. Behind an idle log that is the end of this turn of the event
 *   loop, so that what arrives together is written together.
 * - The next batch is decided on the state that the batch being written will leave. So it waits until that one is
 *   decided and handed to the database, and no longer.
 * - The next batch is decided from memory alone, because the connection is busy. A command that needs a read ends it.
 * - The next batch is written when the one being written is committed. If that one failed, the next is decided anew.
 * - Answers wait for the head file, in the order of the batches. The next batch does not wait for them: while the head
 *   file is synced, the database works on.
 * - Side jobs, erasures and rotations wait until no batch is being written; then new batches wait for them.
 */
import type { Answers, Waiting } from '../answers.js';
import type { DecidedBatch } from './decided-batch.js';
import type { LogTail, NextBatch, Writing } from './log-tail.js';
import { asUnavailable, describeFault, type ReportFault } from '../unavailable.js';

/** A queue of up to this many commands goes in one batch: below, the cost of a batch itself counts most. */
const WHOLE = 16;

/** What became of a batch, once its commands are answered. Times in ms since it was sent off. */
export interface BatchFate {
  readonly outcome: 'committed' | 'outage' | 'fault';
  readonly commands: number;
  /** Entries that it added to the log. */
  readonly events: number;
  /** Tries at writing it. */
  readonly attempts: number;
  /** When it was committed or had failed. */
  readonly commitMs: number;
  /** When its commands were answered. */
  readonly answerMs: number;
}

/** Told of each batch. It MUST NOT throw, and MUST be quick: every write pays for it. */
export type ObserveBatch = (batch: BatchFate) => void;

/** The batch that is being written. */
interface InWriting {
  /** As {@link Writing.handedOver}. */
  readonly handedOver: Promise<void>;
  /** Settles when the batch is committed or has failed. Never rejects. */
  readonly done: Promise<void>;
  isDone: boolean;
}

/** The next batch with the commands that it took from the queue. */
interface Next extends NextBatch {
  readonly taken: Waiting[];
}

/** Decides the next batch while one is being written. */
export class Pipeline {
  private current: InWriting | null = null;
  private wakeUp: () => void = () => undefined;

  constructor(
    private readonly tail: LogTail,
    private readonly answers: Answers,
    /** The writer adds at its end; batches take from its beginning. */
    private readonly queue: Waiting[],
    /** Most commands in one batch. */
    private readonly limit: number,
    private readonly report: ReportFault,
    private readonly observe: ObserveBatch,
  ) {}

  /** Settles when the batch that is being written is committed or has failed; null when none is. */
  get writing(): Promise<void> | null {
    return this.current?.done ?? null;
  }

  /** A command was queued: whoever decides the next batch looks again. */
  arrived(): void {
    this.wakeUp();
  }

  /**
   * Sends off the next batch. Behind an idle log that is what arrived in this turn of the event loop. Behind a batch that
   * is being written it is what arrives until that one is committed, decided meanwhile.
   */
  async advance(): Promise<void> {
    const { current } = this;
    if (!current) await nextTurn();
    const next = current && (await this.decideNext(current));
    await current?.done;
    const decided = next && this.tail.closeNext(next);
    const taken = next?.taken ?? [];
    if (decided) return this.write(taken, decided);
    // What was decided on a batch that failed is decided anew.
    // A long queue is halved: one half is decided while the other is being written, and so they go on in turn.
    const share = this.queue.length > WHOLE ? Math.ceil(this.queue.length / 2) : this.queue.length;
    const batch = [...taken, ...this.queue.splice(0, Math.min(share, this.limit - taken.length))];
    if (batch.length > 0) this.write(batch, null);
  }

  private write(batch: readonly Waiting[], decided: DecidedBatch | null): void {
    const writing = this.tail.put(batch, decided);
    const done = this.settle(batch, writing).finally(() => {
      current.isDone = true;
      if (this.current === current) this.current = null;
    });
    const current: InWriting = { handedOver: writing.handedOver, done, isDone: false };
    this.current = current;
  }

  /** Decides arrivals until the current batch is committed. @returns null when the tail of the log is not in order */
  private async decideNext(current: InWriting): Promise<Next | null> {
    await Promise.race([current.done, current.handedOver]);
    const open = current.isDone ? null : this.tail.openNext();
    if (!open) return null;
    const next: Next = { ...open, taken: [] };
    while (!current.isDone) {
      if (!this.takeArrivals(next)) return next;
      const arrival = new Promise<void>((resolve) => (this.wakeUp = resolve));
      await Promise.race([current.done, arrival]);
      // Decided in bursts, not each in the midst of another request's handling: the code and what it touches are then
      // in the processor's caches, which makes deciding about a third cheaper.
      if (!current.isDone) await Promise.race([current.done, nextTurn()]);
    }
    return next;
  }

  /** Decides what waits. @returns false when a command cannot be decided from memory alone: the batch ends before it */
  private takeArrivals(next: Next): boolean {
    for (let first = this.queue[0]; first && next.taken.length < this.limit; first = this.queue[0]) {
      if (!this.tail.decideNext(next, first)) return false;
      next.taken.push(first);
      this.queue.shift();
    }
    return true;
  }

  /** Sees a batch through; one that fails other than by outage is run again one command at a time. Never throws. */
  private async settle(batch: readonly Waiting[], writing: Writing): Promise<void> {
    const began = performance.now();
    const fate = () => ({ commands: batch.length, attempts: writing.attempts(), commitMs: performance.now() - began });
    try {
      const written = await writing.committed;
      const so = fate();
      void this.answers.after(batch, written).then((unwritten) =>
        this.observe({
          ...so,
          outcome: unwritten ? 'outage' : 'committed',
          events: written.after.size - written.before.size,
          answerMs: performance.now() - began,
        }),
      );
    } catch (error) {
      this.tail.forget();
      const outage = asUnavailable(error);
      const so = fate();
      this.observe({ ...so, outcome: outage ? 'outage' : 'fault', events: 0, answerMs: so.commitMs });
      if (outage) {
        this.report('ledger.outage', { reason: outage.message, commands: batch.length });
        for (const waiting of batch) waiting.reject(outage);
      } else if (batch.length === 1) {
        this.report('ledger.command-failed', { error: describeFault(error) });
        batch[0]?.reject(error);
      } else {
        this.report('ledger.batch-rerun', { error: describeFault(error), commands: batch.length });
        for (const waiting of batch) await this.settle([waiting], this.tail.put([waiting], null));
      }
    }
  }
}

/** What arrived in this turn of the event loop has arrived. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
