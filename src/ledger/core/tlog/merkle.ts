import { fromHex } from '../bytes.js';
import type { Hasher } from '../hasher.js';

/** Root of the tree without leaves, SHA-256("") (RFC 6962 section 2.1). */
export const emptyRoot: Uint8Array = fromHex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');

/**
 * The hash of a COMPLETE subtree of height `level` (0 is a leaf hash), the `index`-th of its level from the left.
 * It must reject when it does not have that hash.
 */
export type NodeAt = (level: number, index: number) => Promise<Uint8Array>;

/** Number of complete subtrees of height `level` in a tree of `size` leaves. Division: sizes pass 32 bits. */
export function completeAt(size: number, level: number): number {
  return Math.floor(size / 2 ** level);
}

/** Root of all leaves at once (RFC 6962 section 2.1), in memory of the tree's height. */
export function rootOf(hasher: Hasher, leaves: Iterable<Uint8Array>): Uint8Array {
  const tree = new GrowingTree(hasher);
  let pending = 0;
  for (const leaf of leaves) {
    tree.append(leaf);
    if (++pending === 4096) {
      tree.settle();
      pending = 0;
    }
  }
  return tree.root();
}

/** Root of the first `size` leaves (RFC 9162 section 2.1.1: MTH). */
export function rootAt(hasher: Hasher, size: number, nodeAt: NodeAt): Promise<Uint8Array> {
  checkSize(size);
  return size === 0 ? Promise.resolve(emptyRoot) : subtree(hasher, 0, size, nodeAt);
}

/**
 * Inclusion proof of leaf `index` in the tree of the first `size` leaves (RFC 9162 section 2.1.3.1: PATH), from the
 * leaf upwards. @throws RangeError unless 0 <= index < size.
 */
export async function inclusionProof(
  hasher: Hasher,
  index: number,
  size: number,
  nodeAt: NodeAt,
): Promise<Uint8Array[]> {
  checkSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError('index is not below size');
  const proof: Uint8Array[] = [];
  for (let from = 0, to = size; to - from > 1;) {
    const middle = from + leftWidth(to - from);
    if (index < middle) {
      proof.push(await subtree(hasher, middle, to, nodeAt));
      to = middle;
    } else {
      proof.push(await subtree(hasher, from, middle, nodeAt));
      from = middle;
    }
  }
  return proof.toReversed();
}

/**
 * Consistency proof between the trees of the first `size1` and `size2` leaves (RFC 9162 section 2.1.4.1: SUBPROOF).
 * @throws RangeError unless 0 < size1 <= size2: every tree continues the empty one.
 */
export async function consistencyProof(
  hasher: Hasher,
  size1: number,
  size2: number,
  nodeAt: NodeAt,
): Promise<Uint8Array[]> {
  checkSize(size1);
  checkSize(size2);
  if (size1 === 0 || size1 > size2) throw new RangeError('sizes are not in order');
  const proof: Uint8Array[] = [];
  let from = 0;
  let to = size2;
  while (to !== size1) {
    const middle = from + leftWidth(to - from);
    if (size1 <= middle) {
      proof.push(await subtree(hasher, middle, to, nodeAt));
      to = middle;
    } else {
      proof.push(await subtree(hasher, from, middle, nodeAt));
      from = middle;
    }
  }
  // The verifier knows the old root itself. Any other subtree at the old tree's end is part of the proof.
  if (from !== 0) proof.push(await subtree(hasher, from, to, nodeAt));
  return proof.toReversed();
}

/** Hash of the leaves from..to-1, a subtree of the split that RFC 9162 defines: complete, or the tree's right edge. */
async function subtree(hasher: Hasher, from: number, to: number, nodeAt: NodeAt): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  while (to > from) {
    let level = 0;
    while (2 ** (level + 1) <= to - from) level++;
    parts.push(await nodeAt(level, from / 2 ** level));
    from += 2 ** level;
  }
  return parts.reduceRight((right, left) => hasher.node(left, right));
}

/** The largest power of two below `width`. */
function leftWidth(width: number): number {
  let left = 1;
  while (left * 2 < width) left *= 2;
  return left;
}

function checkSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('size is not a safe integer');
}

/**
 * The tree in the writer's memory: the complete subtrees at its settled end, and the nodes that a batch adds. Root and
 * proofs of the batch's leaves need no reads. To roll a batch back, construct the tree again from the last frontier.
 */
export class GrowingTree {
  /** Complete nodes by level, without gaps up to the size; the first of each level has the number in `first`. */
  private readonly nodes: Uint8Array[][] = [];
  private readonly first: number[] = [];
  private settled: number;
  private leaves: number;
  private edge: (Uint8Array | undefined)[] | undefined;

  /**
   * @param size number of leaves so far
   * @param frontier hashes of the complete subtrees of that size, largest (leftmost) first, as {@link frontier} gives
   * @throws RangeError when there are not exactly as many as the size has bits set
   */
  constructor(
    private readonly hasher: Hasher,
    size = 0,
    frontier: readonly Uint8Array[] = [],
  ) {
    checkSize(size);
    this.settled = size;
    this.leaves = size;
    let given = frontier.length;
    for (let level = 0; completeAt(size, level) > 0; level++) {
      const count = completeAt(size, level);
      const node = count % 2 === 1 ? frontier[--given] : undefined;
      this.nodes.push(node ? [node] : []);
      this.first.push(node ? count - 1 : count);
    }
    if (given !== 0 || this.frontier().length !== frontier.length) throw new RangeError('frontier does not fit size');
  }

  get size(): number {
    return this.leaves;
  }

  /** Adds a leaf hash and returns its index. */
  append(leafHash: Uint8Array): number {
    const index = this.leaves++;
    this.edge = undefined;
    this.push(0, leafHash);
    for (let level = 0; completeAt(this.leaves, level) % 2 === 0; level++) {
      const row = this.nodes[level]!;
      this.push(level + 1, this.hasher.node(row[row.length - 2]!, row[row.length - 1]!));
    }
    return index;
  }

  /** Root at the current size. */
  root(): Uint8Array {
    return this.leaves === 0 ? emptyRoot : this.rightEdge().at(-1)!;
  }

  /**
   * Inclusion proof, at the current size, of a leaf appended since the last {@link settle}.
   * @throws RangeError for any other index.
   */
  inclusion(index: number): Uint8Array[] {
    if (!Number.isSafeInteger(index) || index < this.settled || index >= this.leaves) {
      throw new RangeError('index is not in the batch');
    }
    const edge = this.rightEdge();
    const proof: Uint8Array[] = [];
    for (let level = 0, at = index; completeAt(this.leaves - 1, level) > 0; level++, at = Math.floor(at / 2)) {
      const complete = completeAt(this.leaves, level);
      const right = edge[level];
      if (at % 2 === 1) proof.push(this.node(level, at - 1));
      else if (at + 1 < complete) proof.push(this.node(level, at + 1));
      else if (at + 1 === complete && right) proof.push(right);
    }
    return proof;
  }

  /**
   * The nodes of `level` completed since the last {@link settle}, from index `first` on: what the hash tiles of
   * level `level / 8` gain.
   */
  completed(level: number): { readonly first: number; readonly hashes: readonly Uint8Array[] } {
    const first = completeAt(this.settled, level);
    return { first, hashes: (this.nodes[level] ?? []).slice(first - (this.first[level] ?? first)) };
  }

  /** Hashes of the complete subtrees that the current size consists of, largest first. */
  frontier(): Uint8Array[] {
    const hashes: Uint8Array[] = [];
    for (let level = this.nodes.length - 1; level >= 0; level--) {
      const count = completeAt(this.leaves, level);
      if (count % 2 === 1 && this.nodes[level]!.length > 0) hashes.push(this.node(level, count - 1));
    }
    return hashes;
  }

  /** Drops nodes that only the batch's proofs need. Call it once the batch is durable. */
  settle(): void {
    this.settled = this.leaves;
    for (let level = 0; level < this.nodes.length; level++) {
      const count = completeAt(this.leaves, level);
      const keep = count % 2;
      const row = this.nodes[level]!;
      row.splice(0, row.length - keep);
      this.first[level] = count - keep;
    }
  }

  private push(level: number, hash: Uint8Array): void {
    if (level === this.nodes.length) {
      this.nodes.push([]);
      this.first.push(0);
    }
    this.nodes[level]!.push(hash);
  }

  private node(level: number, index: number): Uint8Array {
    return this.nodes[level]![index - this.first[level]!]!;
  }

  /** By level, the hash of the leaves to the right of the last complete subtree of that level; above the top, the root. */
  private rightEdge(): (Uint8Array | undefined)[] {
    if (this.edge) return this.edge;
    const edge: (Uint8Array | undefined)[] = [undefined];
    for (let level = 0; completeAt(this.leaves, level) > 0; level++) {
      const count = completeAt(this.leaves, level);
      const right = edge[level];
      if (count % 2 === 0) edge.push(right);
      else edge.push(right ? this.hasher.node(this.node(level, count - 1), right) : this.node(level, count - 1));
    }
    this.edge = edge;
    return edge;
  }
}
