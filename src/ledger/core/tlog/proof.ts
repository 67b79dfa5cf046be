import { equal } from '../bytes.js';
import { HASH_BYTES, type Hasher } from '../hasher.js';

export type ProofReason =
  /** Index or sizes are not safe integers, or not in order. */
  | 'sizes'
  /** A hash is not 32 bytes long. */
  | 'hash-length'
  /** The proof has too few or too many hashes. */
  | 'proof-length'
  /** The proof leads to another root. */
  | 'root';

export type ProofResult = { readonly ok: true } | { readonly ok: false; readonly reason: ProofReason };

export interface Inclusion {
  /** Index of the leaf, below size. */
  readonly index: number;
  /** Number of leaves of the tree. */
  readonly size: number;
  /** Leaf hash, 32 bytes. */
  readonly leaf: Uint8Array;
  /** Hashes from the leaf upwards. */
  readonly proof: readonly Uint8Array[];
  /** Root of the tree, 32 bytes. */
  readonly root: Uint8Array;
}

export interface Consistency {
  /** Sizes of the older and the newer tree: 0 < size1 <= size2. */
  readonly size1: number;
  readonly size2: number;
  readonly root1: Uint8Array;
  readonly root2: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

const OK: ProofResult = { ok: true };

/** Whether the tree with that root has the leaf at that index (RFC 9162 section 2.1.3.2). */
export function verifyInclusion(hasher: Hasher, { index, size, leaf, proof, root }: Inclusion): ProofResult {
  if (!isSize(index) || !isSize(size) || index >= size) return fail('sizes');
  if (!areHashes(leaf, root, ...proof)) return fail('hash-length');
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0) return fail('proof-length');
    if (fn % 2 === 1 || fn === sn) {
      hash = hasher.node(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = hasher.node(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) return fail('proof-length');
  return equal(hash, root) ? OK : fail('root');
}

/**
 * Whether the tree with root2 continues the tree with root1 (RFC 9162 section 2.1.4.2). Refuses size1 = 0, since every
 * tree continues the empty one: callers must handle that case explicitly.
 */
export function verifyConsistency(hasher: Hasher, { size1, size2, root1, root2, proof }: Consistency): ProofResult {
  if (!isSize(size1) || !isSize(size2) || size1 === 0 || size1 > size2) return fail('sizes');
  if (size1 === size2) {
    if (proof.length > 0) return fail('proof-length');
    return equal(root1, root2) ? OK : fail('root');
  }
  if (!areHashes(root1, root2, ...proof)) return fail('hash-length');
  let fn = size1 - 1;
  let sn = size2 - 1;
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  // A complete old tree is a node of the new one. The proof leaves out its root, which the verifier knows.
  const [first, ...rest] = fn === 0 ? [root1, ...proof] : proof;
  if (!first) return fail('proof-length');
  let old = first;
  let grown = first;
  for (const sibling of rest) {
    if (sn === 0) return fail('proof-length');
    if (fn % 2 === 1 || fn === sn) {
      old = hasher.node(sibling, old);
      grown = hasher.node(sibling, grown);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      grown = hasher.node(grown, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) return fail('proof-length');
  return equal(old, root1) && equal(grown, root2) ? OK : fail('root');
}

// Not a shift, which would cut to 32 bits.
function half(n: number): number {
  return Math.floor(n / 2);
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function areHashes(...hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === HASH_BYTES);
}

function fail(reason: ProofReason): ProofResult {
  return { ok: false, reason };
}
