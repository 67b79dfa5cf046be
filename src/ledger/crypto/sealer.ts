import { Worker } from 'node:worker_threads';
import { NONCE, type Order, OVERHEAD, RECORD, sealAll } from './seal-in-place.js';

/** Bytes that a batch stores encrypted, by AES-256-GCM with this key and AAD. */
export interface Secret {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly aad: string;
  readonly plain: Uint8Array;
  /** For bytes that later batches store again: their ciphertext, null until there is one. */
  sealed?: Buffer | null;
}

export type Part = Uint8Array | Secret;

/** Fewer secrets than this are sealed on the spot, since handing them to the thread would take longer. */
const ENOUGH = 32;
const THREAD = new URL('./seal-in-place.js', import.meta.url);
/** Memory for the thread's young objects, MiB: none lives longer than a batch. */
const YOUNG = 16;

/**
 * Encrypts the secrets of batches, large batches in a thread of its own. That takes a sixth of a write's cost off the
 * event loop. Much of that cost is garbage collection, since OpenSSL needs a cipher object per ciphertext.
 */
export class Sealer {
  private thread: Worker | null = null;
  private online = false;
  private ended = false;
  /** Resolves the call that waits for the thread; null while it is idle. */
  private waiter: ((done: boolean) => void) | null = null;
  /** Memory in which batches are sealed, one after the other; it grows with them. */
  private memory = Buffer.from(new SharedArrayBuffer(0));

  /**
   * @param report called once, without values, when the thread is lost; from then on everything is sealed on the spot
   */
  constructor(private readonly report: (event: string, detail: Record<string, string>) => void) {}

  /**
   * Call it only when the result of the previous call is no longer used.
   * @param parts the batch's bytes, in order
   * @param length of all parts, bytes: the sum of {@link lengthOf}
   * @returns the parts one after the other, each secret as nonce || ciphertext || tag; valid until the next call
   */
  async seal(parts: readonly Part[], length: number): Promise<Buffer> {
    const order = this.pack(parts, length);
    const thread = order.count < ENOUGH ? null : this.ready();
    if (!thread) sealAll(this.memory, order.records, order.count);
    // The thread was lost: everything is sealed again here.
    else if (!(await this.handOver(thread, order))) return this.seal(parts, length);
    const bytes = this.memory.subarray(0, length);
    let at = 0;
    for (const part of parts) {
      const end = at + lengthOf(part);
      if (isSecret(part) && part.sealed === null) part.sealed = Buffer.from(bytes.subarray(at, end));
      at = end;
    }
    return bytes;
  }

  async close(): Promise<void> {
    this.ended = true;
    await this.thread?.terminate();
  }

  /** Writes plaintexts to the places of their ciphertexts, and the thread's orders after all parts. */
  private pack(parts: readonly Part[], length: number): Order {
    const needed = parts.reduce((sum, part) => sum + (isOpen(part) ? RECORD + 3 * part.aad.length : 0), length);
    if (this.memory.length < needed) this.memory = Buffer.from(new SharedArrayBuffer(2 * needed));
    const { memory } = this;
    let count = 0;
    let at = 0;
    let record = length;
    for (const part of parts) {
      const size = lengthOf(part);
      if (isOpen(part)) {
        memory.set(part.plain, at + NONCE);
        const aad = memory.write(part.aad, record + RECORD);
        memory.writeUInt32LE(at, record);
        memory.writeUInt32LE(size, record + 4);
        memory.writeUInt32LE(aad, record + 8);
        memory.set(part.key, record + 12);
        record += RECORD + aad;
        count += 1;
      } else {
        memory.set(isSecret(part) ? (part.sealed as Buffer) : part, at);
      }
      at += size;
    }
    return { shared: memory.buffer, records: length, count };
  }

  /** @returns false when the thread ended instead */
  private handOver(thread: Worker, order: Order): Promise<boolean> {
    return new Promise((resolve) => {
      this.waiter = resolve;
      // The process must not end while the thread works on a batch.
      thread.ref();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      thread.postMessage(order);
    });
  }

  private answered(done: boolean): void {
    this.waiter?.(done);
    this.waiter = null;
  }

  /** The thread; null until it runs, since no batch waits for it to start. */
  private ready(): Worker | null {
    if (!this.thread && !this.ended) {
      try {
        this.thread = this.start();
      } catch (error) {
        this.lost(error instanceof Error ? error.name : 'unknown');
      }
    }
    return this.online ? this.thread : null;
  }

  private lost(name: string): void {
    this.thread = null;
    this.online = false;
    if (!this.ended) this.report('ledger.sealer-lost', { error: name });
    this.ended = true;
    this.answered(false);
  }

  private start(): Worker {
    const thread = new Worker(THREAD, { workerData: 'seal', resourceLimits: { maxYoungGenerationSizeMb: YOUNG } });
    thread.unref();
    thread.on('online', () => {
      this.online = true;
    });
    thread.on('message', () => {
      thread.unref();
      this.answered(true);
    });
    thread.on('error', ({ name }) => this.lost(name));
    thread.on('exit', () => this.lost('exit'));
    return thread;
  }
}

const isSecret = (part: Part): part is Secret => !(part instanceof Uint8Array);
const isOpen = (part: Part): part is Secret => isSecret(part) && !part.sealed;

export const lengthOf = (part: Part): number => (isSecret(part) ? part.plain.length + OVERHEAD : part.length);
