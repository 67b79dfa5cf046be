/** Verifiers that did too little: known falls of others. They stand here to be fooled. */
import type { Kept } from './kept.js';
import { utf8 } from '../../src/ledger/core/bytes.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { decodeEntry } from '../../src/ledger/core/record/entry.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { formatVerifierKey, KEY_TYPE, openNote, parseVerifierKey, splitNote } from '../../src/ledger/core/tlog/note.js';
import { parsePolicy } from '../../src/ledger/core/tlog/policy.js';
import { rootAt, rootOf } from '../../src/ledger/core/tlog/merkle.js';
import { TILE_WIDTH, tileNodeReader } from '../../src/ledger/core/tlog/tiles.js';
import type { Shown } from './shown.js';
import { servedCosigned } from './witnesses.js';

export type Careless = 'trusts tiles' | 'trusts middle links' | 'counts cosignatures';

/** @returns whether it takes the log for honest */
export const CARELESS: Readonly<Record<Careless, (shown: Shown, kept: Kept) => Promise<boolean>>> = {
  'trusts tiles': trustsTiles,
  'trusts middle links': trustsMiddleLinks,
  'counts cosignatures': countsCosignatures,
};

/** Holds entries against the lowest tiles and the root against the highest, but no tile against its parent. */
async function trustsTiles({ entries, tile, checkpoint }: Shown, { vkey }: Kept): Promise<boolean> {
  const { size, root } = openCheckpoint(checkpoint, vkey);
  if (!Buffer.from(await rootAt(nobleHasher, size, tileNodeReader(nobleHasher, tile))).equals(root)) return false;
  for (let index = 0; index < size; index++) {
    const hashes = await tile(0, Math.floor(index / TILE_WIDTH));
    const stored = hashes.subarray((index % TILE_WIDTH) * 32, (index % TILE_WIDTH) * 32 + 32);
    if (!Buffer.from(nobleHasher.leaf(entries.get(index) ?? Buffer.alloc(0))).equals(stored)) return false;
  }
  return true;
}

/** Rebuilds the root and counts each chain's entries, but checks only the last link of a chain against its leaf. */
async function trustsMiddleLinks({ entries, checkpoint }: Shown, { vkey }: Kept): Promise<boolean> {
  const { size, root } = openCheckpoint(checkpoint, vkey);
  const stored = Array.from({ length: size }, (_, index) => entries.get(index) ?? Buffer.alloc(0));
  const leaves = stored.map((bytes) => nobleHasher.leaf(bytes));
  if (!Buffer.from(rootOf(nobleHasher, leaves)).equals(root)) return false;
  const ends = new Map<string, { seq: number; before: Uint8Array; prev: Uint8Array; leaf: Uint8Array }>();
  for (const [index, bytes] of stored.entries()) {
    const { chain, seq, prev } = decodeEntry(bytes);
    const end = ends.get(chain);
    if (seq !== (end ? end.seq + 1 : 0)) return false;
    ends.set(chain, { seq, before: end?.leaf ?? prev, prev, leaf: leaves[index] as Uint8Array });
  }
  return [...ends.values()].every(({ before, prev }) => Buffer.from(before).equals(prev));
}

/** Knows the witnesses by their public keys, and wants two cosignatures by them: whose they are, it does not ask. */
async function countsCosignatures(shown: Shown, kept: Kept): Promise<boolean> {
  const note = await servedCosigned(shown, kept);
  const { text, lines } = splitNote(note);
  const { witnesses } = parsePolicy(utf8(kept.policy));
  const holding = lines.filter(({ name, line }) =>
    witnesses.some(({ key }) => {
      const named = parseVerifierKey(formatVerifierKey(name, KEY_TYPE.cosignature, key.publicKey));
      try {
        return openNote(`${text}\n${line}\n`, [named]).verified.length > 0;
      } catch {
        return false;
      }
    }),
  );
  openCheckpoint(note, kept.vkey);
  return holding.length >= 2;
}
