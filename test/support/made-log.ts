/** Logs of hand-made entries, served as C2SP tlog-tiles. Their key signs any content. */
import { createHash } from 'node:crypto';
import { concat, toBase64, utf8 } from '../../src/ledger/core/bytes.js';
import { formatCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { commit, parsePayload } from '../../src/ledger/core/record/commitment.js';
import {
  decodeEntry,
  encodeEntry,
  type Entry,
  entryTime,
  LOG_CHAIN,
  ZERO32,
} from '../../src/ledger/core/record/entry.js';
import { jcs } from '../../src/ledger/core/jcs.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { formatRotation, LOG_KEY_ROTATED } from '../../src/ledger/core/statements/key-rotation.js';
import { GrowingTree, rootOf } from '../../src/ledger/core/tlog/merkle.js';
import { ed25519Signer, type NoteSigner, signNote } from '../../src/ledger/core/tlog/note.js';
import { encodeBundle, nodeInTile, parseTilePath, TILE_WIDTH } from '../../src/ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';

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

/** `size` valid entries, distributed over `chains` chains in turn. */
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

/** A replacement of a log's key. */
export interface MadeRotation {
  /** Number of entries before the event. */
  readonly at: number;
  /** The key that signs until then; default: the log's first. */
  readonly from?: NoteSigner & { readonly vkey: string };
  readonly to: NoteSigner & { readonly vkey: string };
  /** Signers of the statement and of the checkpoint after it; by default both keys, as in an honest log. */
  readonly stated?: readonly NoteSigner[];
  readonly handedOver?: readonly NoteSigner[];
}

/** A log of these entries with an inserted event that replaces its key. */
export function rotatedLog(entries: readonly Uint8Array[], rotation: MadeRotation): MadeLog {
  const { at, from = signer, to, stated = [from, to] } = rotation;
  const leaves = entries.slice(0, at).map((bytes) => nodeHasher.leaf(bytes));
  const root = rootOf(nodeHasher, leaves);
  const text = formatRotation({ origin: ORIGIN, from: from.vkey, to: to.vkey, size: at, root });
  const time = decodeEntry(entries[at - 1]!).time;
  const [occurredAt, salt] = [new Date(time).toISOString(), new Uint8Array(32).fill(3)];
  const data = { from: from.vkey, to: to.vkey, statement: signNote(text, stated) };
  const actor = { id: 'system', org: null, role: 'system' };
  const payload = jcs({
    actor,
    data,
    derived: {},
    kind: 'log',
    occurredAt,
    recordedAt: occurredAt,
    type: LOG_KEY_ROTATED,
  });
  const { commitment } = commit(nodeHasher, salt, parsePayload(payload));
  const earlier = entries.slice(0, at).filter((bytes) => decodeEntry(bytes).chain === LOG_CHAIN);
  const last = earlier.at(-1);
  const prev = last ? nodeHasher.leaf(last) : ZERO32;
  const entry = encodeEntry({ chain: LOG_CHAIN, commitment, log: ORIGIN, prev, seq: earlier.length, time });
  const event = { ...rotation, entry, payload: toBase64(utf8(payload)), salt: toBase64(salt) };
  return new MadeLog([...entries.slice(0, at), entry, ...entries.slice(at)], event);
}

export class MadeLog {
  private readonly leaves: Uint8Array[];

  constructor(
    readonly entries: readonly Uint8Array[],
    private readonly rotation?: MadeRotation & { entry: Uint8Array; payload: string; salt: string },
  ) {
    this.leaves = entries.map((bytes) => nodeHasher.leaf(bytes));
  }

  /** The answer of `/log/rotations`. */
  rotations(): string {
    const { rotation } = this;
    if (!rotation) return '{"items":[]}';
    const { at: index, entry, payload, salt } = rotation;
    const tree = new GrowingTree(nodeHasher);
    for (const leaf of this.leaves.slice(0, index + 1)) tree.append(leaf);
    const proof = tree.inclusion(index).map((hash) => toBase64(hash));
    const bytes = { entry: toBase64(entry), proof, checkpoint: this.note(index + 1), payload, salt };
    return JSON.stringify({ items: [{ v: 1, log: ORIGIN, index, ...bytes }] });
  }

  /** The answer of `/log/chain` after that index: the event that replaces the key. */
  private chain(after: number): string {
    const { at = 0, entry, payload, salt } = this.rotation ?? {};
    const items = entry && at > after ? [{ index: at, entry: toBase64(entry), salt, payload }] : [];
    return JSON.stringify({ items, next: null });
  }

  private signers(size: number): readonly NoteSigner[] {
    const { rotation } = this;
    const from = rotation?.from ?? signer;
    if (!rotation || size <= rotation.at) return [from];
    return size === rotation.at + 1 ? (rotation.handedOver ?? [from, rotation.to]) : [rotation.to];
  }

  /** The signed note of the first `size` entries. */
  note(size = this.entries.length): string {
    const root = rootOf(nodeHasher, this.leaves.slice(0, size));
    return signNote(formatCheckpoint({ origin: ORIGIN, size, root }), this.signers(size));
  }

  /** Its files at `size` entries. */
  files(size = this.entries.length): FetchFile {
    const note = this.note(size);
    const texts: Record<string, () => string> = { checkpoint: () => note, rotations: () => this.rotations() };
    return (path) => {
      const [, after] = /^chain\?(?:after=(\d+)&)?limit=1$/.exec(path) ?? [];
      const text = path.startsWith('chain?') ? this.chain(Number(after ?? -1)) : texts[path]?.();
      return Promise.resolve(text === undefined ? this.file(path, size) : utf8(text));
    };
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
