/** Logs of entries that a test has made, as C2SP tlog-tiles serves them. Their key signs whatever they hold. */
import { createHash } from 'node:crypto';
import { concat, utf8 } from '../../src/ledger/core/bytes.js';
import { formatCheckpoint } from '../../src/ledger/core/checkpoint.js';
import { encodeEntry, type Entry, entryTime, ZERO32 } from '../../src/ledger/core/entry.js';
import type { FetchFile } from '../../src/ledger/core/log-client.js';
import { rootOf } from '../../src/ledger/core/merkle.js';
import { ed25519Signer, signNote } from '../../src/ledger/core/note.js';
import { encodeBundle, nodeInTile, parseTilePath, TILE_WIDTH } from '../../src/ledger/core/tiles.js';
import { nodeHasher } from '../../src/ledger/node-hasher.js';

export const ORIGIN = 'made.example/log';
const signer = ed25519Signer(ORIGIN, new Uint8Array(32).fill(7));
export const MADE_VKEY = signer.vkey;

/** UUID number `n`. */
export const chainId = (n: number): string =>
  createHash('sha256')
    .update(`chain ${n}`)
    .digest('hex')
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

/** Entries that keep every rule: `size` of them, in turn of `chains` chains. */
export function* goodEntries(size: number, chains: number): Generator<Uint8Array, void> {
  const ends: Uint8Array[] = [];
  for (let at = 0; at < size; at++) {
    const n = at % chains;
    const bytes = entryOfChain(n, Math.floor(at / chains), ends[n] ?? ZERO32, at);
    ends[n] = nodeHasher.leaf(bytes);
    yield bytes;
  }
}

/** @param minute of its time */
export function entryOfChain(n: number, seq: number, prev: Uint8Array, minute: number, over: Partial<Entry> = {}) {
  const commitment = new Uint8Array(32).fill(n % 256);
  const time = entryTime(Date.UTC(2026, 0, 1) + Math.floor(minute / 100) * 60_000);
  return encodeEntry({ chain: chainId(n), commitment, log: ORIGIN, prev, seq, time, ...over });
}

export class MadeLog {
  private readonly leaves: Uint8Array[];

  constructor(readonly entries: readonly Uint8Array[]) {
    this.leaves = entries.map((bytes) => nodeHasher.leaf(bytes));
  }

  /** The signed note of the first `size` entries. */
  note(size = this.entries.length): string {
    const root = rootOf(nodeHasher, this.leaves.slice(0, size));
    return signNote(formatCheckpoint({ origin: ORIGIN, size, root }), [signer]);
  }

  /** Its files at `size` entries. */
  files(size = this.entries.length): FetchFile {
    const note = this.note(size);
    return (path) => Promise.resolve(path === 'checkpoint' ? utf8(note) : this.file(path, size));
  }

  private file(path: string, size: number): Uint8Array | null {
    const tile = parseTilePath(path);
    if (!tile) return null;
    const { level, index, width } = tile;
    const first = index * TILE_WIDTH;
    const height = level === 'entries' ? 0 : level;
    if ((first + width) * TILE_WIDTH ** height > size) return null;
    if (level === 'entries') return encodeBundle(this.entries.slice(first, first + width));
    return concat(...Array.from({ length: width }, (_, at) => this.node(level, first + at)));
  }

  private node(level: number, index: number): Uint8Array {
    if (level === 0) return this.leaves[index]!;
    const below = Array.from({ length: TILE_WIDTH }, (_, at) => this.node(level - 1, index * TILE_WIDTH + at));
    return nodeInTile(nodeHasher, concat(...below), 8, 0);
  }
}
