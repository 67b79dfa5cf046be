import { concat, toBase64, utf8 } from '../../src/ledger/core/bytes.js';
import { formatCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { consistencyProof, rootAt } from '../../src/ledger/core/tlog/merkle.js';
import { ed25519Signer, signNote } from '../../src/ledger/core/tlog/note.js';
import { nodesOf } from '../fixtures/rfc6962/vectors.js';

/** A log that may be witnessed, and that may lie. */
export class TestLog {
  readonly vkey: string;
  private readonly signer: ReturnType<typeof ed25519Signer>;

  constructor(
    readonly origin: string,
    private readonly seed = 1,
    private readonly leaves: Uint8Array[] = [],
  ) {
    this.signer = ed25519Signer(origin, new Uint8Array(32).fill(seed));
    this.vkey = this.signer.vkey;
  }

  get size(): number {
    return this.leaves.length;
  }

  append(...entries: string[]): this {
    for (const entry of entries) this.leaves.push(nobleHasher.leaf(utf8(entry)));
    return this;
  }

  /** The same log, by the same key, that goes on differently after `size` leaves. */
  fork(size: number, ...entries: string[]): TestLog {
    return new TestLog(this.origin, this.seed, this.leaves.slice(0, size)).append(...entries);
  }

  root(size = this.size): Promise<Uint8Array> {
    return rootAt(nobleHasher, size, nodesOf(nobleHasher, this.leaves));
  }

  async text(size = this.size): Promise<string> {
    return formatCheckpoint({ origin: this.origin, size, root: await this.root(size) });
  }

  async checkpoint(size = this.size): Promise<string> {
    return signNote(await this.text(size), [this.signer]);
  }

  /** Signs whatever is given. */
  sign(text: string): string {
    return signNote(text, [this.signer]);
  }

  async proof(from: number, to = this.size): Promise<Uint8Array[]> {
    if (from === 0 || from >= to) return [];
    return consistencyProof(nobleHasher, from, to, nodesOf(nobleHasher, this.leaves));
  }

  /** An honest request. */
  async request(from: number, to = this.size): Promise<string> {
    return requestOf(from, await this.proof(from, to), await this.checkpoint(to));
  }
}

/** The body of add-checkpoint. */
export function requestOf(oldSize: number | string, proof: readonly Uint8Array[], note: string): string {
  return `old ${oldSize}\n${proof.map((hash) => `${toBase64(hash)}\n`).join('')}\n${note}`;
}

/** Different bytes of the same length. */
export function flipped(bytes: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(bytes[0]! ^ 1), bytes.slice(1));
}
