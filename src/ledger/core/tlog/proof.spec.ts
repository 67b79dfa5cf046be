import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64 } from '../bytes.js';
import { nobleHasher } from '../hasher.js';
import { consistencyProof, inclusionProof, rootOf } from './merkle.js';
import { verifyConsistency, verifyInclusion } from './proof.js';
import { sharedPath } from '../../../../test/support/shared.js';
import { join } from 'node:path';
import { nodesOf, someHashes, treeVectors } from '../../../../test/fixtures/rfc6962/vectors.js';
import { examples } from '../../../../test/support/length.js';

const vectors = treeVectors();
const roots = vectors.rootBySize.map(fromBase64);

describe('vectors of RFC 6962 proofs', () => {
  it('inclusion', () => {
    for (const { size, index, proof } of vectors.inclusion) {
      const leaf = fromBase64(vectors.leaves[index]!.leafHash);
      const claim = { index, size, leaf, proof: proof.map(fromBase64), root: roots[size]! };
      expect(verifyInclusion(nobleHasher, claim)).toEqual({ ok: true });
      expect(verifyInclusion(nobleHasher, { ...claim, root: roots[size - 1]! }).ok).toBe(false);
    }
  });

  it('consistency', () => {
    for (const { size1, size2, proof } of vectors.consistency) {
      const claim = { size1, size2, root1: roots[size1]!, root2: roots[size2]!, proof: proof.map(fromBase64) };
      expect(verifyConsistency(nobleHasher, claim)).toEqual({ ok: true });
      expect(verifyConsistency(nobleHasher, { ...claim, root1: roots[size1 - 1]! }).ok).toBe(false);
    }
  });
});

// Vectors of another project, so they are not copied here; only a checkout beside the shared folder has them.
const probes = sharedPath('vectors/merkle-probes');
const absent = !existsSync(probes);
interface InclusionProbe {
  leafIdx: number;
  treeSize: number;
  root: string;
  leafHash: string;
  proof: string[] | null;
  wantErr: boolean;
}
interface ConsistencyProbe {
  size1: number;
  size2: number;
  root1: string;
  root2: string;
  proof: string[] | null;
  wantErr: boolean;
}

function readProbes<T>(kind: string): [string, T][] {
  if (absent) return [];
  const folder = join(probes, kind);
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      return [name, JSON.parse(text) as T];
    });
}

describe.skipIf(absent)(
  `valid and broken proofs${absent ? ' (skipped: ../shared/vectors/merkle-probes is absent)' : ''}`,
  () => {
    const inclusion = readProbes<InclusionProbe>('inclusion');
    const consistency = readProbes<ConsistencyProbe>('consistency');

    it('are all there', () => {
      expect(inclusion.length + consistency.length).toBe(196);
    });

    it.each(inclusion)('inclusion %s', (_, { leafIdx, treeSize, root, leafHash, proof, wantErr }) => {
      const claim = {
        index: leafIdx,
        size: treeSize,
        leaf: fromBase64(leafHash),
        proof: (proof ?? []).map(fromBase64),
        root: fromBase64(root),
      };
      expect(verifyInclusion(nobleHasher, claim).ok).toBe(!wantErr);
    });

    it.each(consistency)('consistency %s', (_, { size1, size2, root1, root2, proof, wantErr }) => {
      const claim = {
        size1,
        size2,
        root1: fromBase64(root1),
        root2: fromBase64(root2),
        proof: (proof ?? []).map(fromBase64),
      };
      expect(verifyConsistency(nobleHasher, claim).ok).toBe(!wantErr);
    });
  },
);

const leaves = someHashes(300);
const range = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat()).map(([size, at]) => ({ size, at: at % size }));

/**
 * Every way to damage a list of hashes by one: a flipped bit, one missing, one doubled, a foreign one at either end.
 */
function spoilt(proof: readonly Uint8Array[], place: number, bit: number): Uint8Array[][] {
  const at = proof.length === 0 ? 0 : place % proof.length;
  const lists = [
    [...proof, leaves[0]!],
    [leaves[0]!, ...proof],
    [...proof, new Uint8Array()],
  ];
  const hash = proof[at];
  if (!hash) return lists;
  const flipped = Uint8Array.from(hash);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return [...lists, proof.toSpliced(at, 1), proof.toSpliced(at, 0, hash), proof.toSpliced(at, 1, flipped)];
}

describe('proofs of random sizes', () => {
  it('inclusion holds for its leaf, index, size, root and proof and for nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(range, fc.nat(), fc.nat(255), fc.nat(300), async ({ size, at: index }, place, bit, other) => {
        const some = leaves.slice(0, size);
        const proof = await inclusionProof(nobleHasher, index, size, nodesOf(nobleHasher, some));
        const claim = { index, size, leaf: some[index]!, proof, root: rootOf(nobleHasher, some) };
        const holds = (change: Partial<typeof claim>) => verifyInclusion(nobleHasher, { ...claim, ...change }).ok;
        expect(holds({})).toBe(true);
        for (const bad of spoilt(proof, place, bit)) expect(holds({ proof: bad })).toBe(false);
        expect(holds({ index: other })).toBe(other === index);
        expect(holds({ leaf: leaves[(index + 1) % 300]! })).toBe(false);
        expect(holds({ root: leaves[0]! })).toBe(size === 1 && index === 0);
        for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
          expect(holds({ index: bad })).toBe(false);
          expect(holds({ size: bad })).toBe(false);
        }
      }),
      { numRuns: examples(150) },
    );
  });

  it('consistency holds for its sizes, roots and proof and for nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(range, fc.nat(), fc.nat(255), fc.nat(300), async ({ size: size2, at }, place, bit, other) => {
        const size1 = at + 1;
        const proof = await consistencyProof(nobleHasher, size1, size2, nodesOf(nobleHasher, leaves));
        const root1 = rootOf(nobleHasher, leaves.slice(0, size1));
        const root2 = rootOf(nobleHasher, leaves.slice(0, size2));
        const claim = { size1, size2, root1, root2, proof };
        const holds = (change: Partial<typeof claim>) => verifyConsistency(nobleHasher, { ...claim, ...change }).ok;
        expect(holds({})).toBe(true);
        for (const bad of spoilt(proof, place, bit)) expect(holds({ proof: bad })).toBe(false);
        expect(holds({ size1: other })).toBe(other === size1);
        expect(holds({ root1: leaves[299]! })).toBe(false);
        expect(holds({ root2: leaves[299]! })).toBe(false);
        expect(holds({ root1: root2, root2: root1 })).toBe(size1 === size2);
        for (const bad of [-1, 0, 0.5, Number.NaN, 2 ** 53]) expect(holds({ size1: bad })).toBe(false);
      }),
      { numRuns: examples(150) },
    );
  });

  it('says what is wrong', () => {
    const [a, b] = leaves;
    const root = nobleHasher.node(a!, b!);
    const claim = { index: 0, size: 2, leaf: a!, proof: [b!], root };
    const reason = (change: Partial<typeof claim>) => verifyInclusion(nobleHasher, { ...claim, ...change });
    expect(reason({ index: 2 })).toEqual({ ok: false, reason: 'sizes' });
    expect(reason({ proof: [] })).toEqual({ ok: false, reason: 'proof-length' });
    expect(reason({ proof: [b!, b!] })).toEqual({ ok: false, reason: 'proof-length' });
    expect(reason({ proof: [new Uint8Array(31)] })).toEqual({ ok: false, reason: 'hash-length' });
    expect(reason({ index: 1 })).toEqual({ ok: false, reason: 'root' });
  });
});
