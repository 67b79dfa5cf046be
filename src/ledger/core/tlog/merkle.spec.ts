import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64, fromHex, toBase64 } from '../bytes.js';
import { nobleHasher } from '../hasher.js';
import { consistencyProof, emptyRoot, GrowingTree, inclusionProof, rootAt, rootOf } from './merkle.js';
import { naiveRoot, nodesOf, someHashes, treeVectors } from '../../../../test/fixtures/rfc6962/vectors.js';
import { examples } from '../../../../test/support/length.js';

const vectors = treeVectors();
const vectorLeaves = vectors.leaves.map(({ leafHash }) => fromBase64(leafHash));
const leaves = someHashes(600);

/** A tree of the first `size` leaves of `from`, settled. */
function settled(from: readonly Uint8Array[], size: number): GrowingTree {
  const tree = new GrowingTree(nobleHasher);
  for (const leaf of from.slice(0, size)) tree.append(leaf);
  tree.settle();
  return tree;
}

describe('vectors of RFC 6962 trees', () => {
  it('leaf hashes', () => {
    for (const { entryHex, leafHash } of vectors.leaves)
      expect(toBase64(nobleHasher.leaf(fromHex(entryHex)))).toBe(leafHash);
  });

  it('root of every size: at once, growing, and read from nodes', async () => {
    const growing = new GrowingTree(nobleHasher);
    expect(toBase64(emptyRoot)).toBe(vectors.rootBySize[0]);
    for (const [size, root] of vectors.rootBySize.entries()) {
      if (size > 0) growing.append(vectorLeaves[size - 1]!);
      const some = vectorLeaves.slice(0, size);
      expect(toBase64(growing.root())).toBe(root);
      expect(toBase64(rootOf(nobleHasher, some))).toBe(root);
      expect(toBase64(await rootAt(nobleHasher, size, nodesOf(nobleHasher, some)))).toBe(root);
    }
  });

  it('inclusion proofs: read from nodes, and by the growing tree', async () => {
    for (const { size, index, proof } of vectors.inclusion) {
      const some = vectorLeaves.slice(0, size);
      const read = await inclusionProof(nobleHasher, index, size, nodesOf(nobleHasher, some));
      expect(read.map(toBase64)).toEqual(proof);
      const tree = settled(some, index);
      for (const leaf of some.slice(index)) tree.append(leaf);
      expect(tree.inclusion(index).map(toBase64)).toEqual(proof);
    }
  });

  it('consistency proofs', async () => {
    for (const { size1, size2, proof } of vectors.consistency) {
      const nodes = nodesOf(nobleHasher, vectorLeaves.slice(0, size2));
      expect((await consistencyProof(nobleHasher, size1, size2, nodes)).map(toBase64)).toEqual(proof);
    }
  });
});

describe('growing tree', () => {
  it('has the root and the proofs of the definition, over batches of any size, from a kept frontier or not', async () => {
    const batches = fc.array(fc.record({ count: fc.integer({ min: 1, max: 70 }), reload: fc.boolean() }), {
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(batches, async (steps) => {
        let tree = new GrowingTree(nobleHasher);
        for (const { count, reload } of steps) {
          const from = tree.size;
          for (const leaf of leaves.slice(from, from + count)) tree.append(leaf);
          const some = leaves.slice(0, from + count);
          expect(tree.root()).toEqual(naiveRoot(nobleHasher, some));
          for (let index = from; index < tree.size; index++) {
            const read = await inclusionProof(nobleHasher, index, tree.size, nodesOf(nobleHasher, some));
            expect(tree.inclusion(index)).toEqual(read);
          }
          tree.settle();
          expect(tree.root()).toEqual(naiveRoot(nobleHasher, some));
          if (reload) tree = new GrowingTree(nobleHasher, tree.size, tree.frontier());
        }
      }),
      { numRuns: examples(12) },
    );
  });

  it('gives indexes in order and, after a batch that failed, is what its kept frontier says', () => {
    const tree = settled(leaves, 77);
    const [size, frontier, root] = [tree.size, tree.frontier(), tree.root()];
    expect(leaves.slice(0, 40).map((leaf) => tree.append(leaf))).toEqual(
      Array.from({ length: 40 }, (_, at) => 77 + at),
    );
    const again = new GrowingTree(nobleHasher, size, frontier);
    expect(again.root()).toEqual(root);
    expect(again.append(leaves[77]!)).toBe(77);
    expect(again.root()).toEqual(naiveRoot(nobleHasher, leaves.slice(0, 78)));
  });

  it('names the nodes that a batch completed, level by level', async () => {
    const nodes = nodesOf(nobleHasher, leaves);
    await fc.assert(
      fc.asyncProperty(fc.nat(290), fc.nat(290), async (size, count) => {
        const tree = settled(leaves, size);
        for (const leaf of leaves.slice(size, size + count)) tree.append(leaf);
        for (let level = 0; level < 10; level++) {
          const { first, hashes } = tree.completed(level);
          expect(first).toBe(Math.floor(size / 2 ** level));
          expect(first + hashes.length).toBe(Math.floor((size + count) / 2 ** level));
          for (const [at, hash] of hashes.entries()) expect(hash).toEqual(await nodes(level, first + at));
        }
        tree.settle();
        expect(tree.completed(0)).toEqual({ first: size + count, hashes: [] });
      }),
      { numRuns: examples(25) },
    );
  });

  it('refuses a frontier that does not fit its size, and proofs outside the batch', () => {
    expect(() => new GrowingTree(nobleHasher, 3, leaves.slice(0, 1))).toThrow(RangeError);
    expect(() => new GrowingTree(nobleHasher, 3, leaves.slice(0, 3))).toThrow(RangeError);
    expect(() => new GrowingTree(nobleHasher, 0, leaves.slice(0, 1))).toThrow(RangeError);
    expect(() => new GrowingTree(nobleHasher, -1, [])).toThrow(RangeError);
    const tree = settled(leaves, 5);
    tree.append(leaves[5]!);
    for (const index of [4, 6, 5.5, -1]) expect(() => tree.inclusion(index)).toThrow(RangeError);
    expect(tree.inclusion(5)).toHaveLength(2);
  });

  it('works beyond 32 bits', () => {
    const size = 2 ** 40 + 2 ** 33 + 1;
    const tree = new GrowingTree(nobleHasher, size, leaves.slice(0, 3));
    expect(tree.append(leaves[3]!)).toBe(size);
    const [high, middle, low] = leaves;
    const pair = nobleHasher.node(low!, leaves[3]!);
    expect(tree.root()).toEqual(nobleHasher.node(high!, nobleHasher.node(middle!, pair)));
    expect(tree.inclusion(size)).toEqual([low, middle, high]);
    expect(tree.frontier()).toEqual([high, middle, pair]);
  });
});

describe('proofs read from nodes', () => {
  it('refuse indexes and sizes out of order', async () => {
    const nodes = nodesOf(nobleHasher, leaves);
    for (const index of [7, 8, -1, 0.5])
      await expect(inclusionProof(nobleHasher, index, 7, nodes)).rejects.toThrow(RangeError);
    await expect(consistencyProof(nobleHasher, 0, 7, nodes)).rejects.toThrow(RangeError);
    await expect(consistencyProof(nobleHasher, 8, 7, nodes)).rejects.toThrow(RangeError);
    await expect(consistencyProof(nobleHasher, 1, 2 ** 53, nodes)).rejects.toThrow(RangeError);
  });

  it('ask only for complete subtrees, at any size', async () => {
    const asked: [number, number][] = [];
    const size = 2 ** 50 - 1;
    await rootAt(nobleHasher, size, (level, index) => {
      asked.push([level, index]);
      return Promise.resolve(leaves[level]!);
    });
    expect(asked).toHaveLength(50);
    for (const [level, index] of asked) expect((index + 1) * 2 ** level).toBeLessThanOrEqual(size);
  });
});
