import { describe, expect, it } from 'vitest';
import type { Db } from '../../database/db.js';
import { consistencyProof, GrowingTree, inclusionProof } from '../core/tlog/merkle.js';
import { TILE_WIDTH, tileNodeReader } from '../core/tlog/tiles.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { TileProofs } from './stored-proofs.js';

const SIZE = 66_700;
const tiles = new Map<string, Buffer>();
const tree = new GrowingTree(nodeHasher);
for (let index = 0; index < SIZE; index++) tree.append(nodeHasher.sha256(`leaf ${index}`));
for (const level of [0, 1, 2]) {
  const hashes = tree.completed(level * 8).hashes;
  for (let at = 0; at < hashes.length; at += TILE_WIDTH)
    tiles.set(`${level} ${at / TILE_WIDTH}`, Buffer.concat(hashes.slice(at, at + TILE_WIDTH)));
}
const nodeAt = tileNodeReader(nodeHasher, (level, index) => Promise.resolve(tiles.get(`${level} ${index}`)!));

/** A database of these tiles that records the size of each query. */
function counted(): { db: Db; asked: number[] } {
  const asked: number[] = [];
  const query = (_: string, params: readonly unknown[] = []): Promise<never[]> => {
    const rows: object[] = [];
    for (let at = 0; at < params.length; at += 2) {
      const [level, idx] = [params[at], params[at + 1]];
      rows.push({ level, idx, hashes: tiles.get(`${String(level)} ${String(idx)}`) });
    }
    asked.push(rows.length);
    return Promise.resolve(rows as never[]);
  };
  return { db: { dialect: 'sqlite', query, table: () => Promise.reject(new Error('not asked')) }, asked };
}

describe('proofs from stored tiles', () => {
  it('are those of the tree, asked for with at most one statement each, and fewer tiles the second time', async () => {
    const { db, asked } = counted();
    const proofs = new TileProofs(db);
    for (const [index, size] of [
      [0, SIZE],
      [65_535, SIZE],
      [66_699, SIZE],
      [700, 701],
      [0, 1],
      [300, 65_536],
    ] as const) {
      const wanted = await inclusionProof(nodeHasher, index, size, nodeAt);
      for (const _ of ['first', 'again']) {
        const made = await proofs.prove((hasher, read) => inclusionProof(hasher, index, size, read));
        expect(made.map((hash) => Buffer.from(hash))).toEqual(wanted.map((hash) => Buffer.from(hash)));
      }
    }
    // The proof in a tree of one leaf reads nothing.
    expect(asked.length).toBe(10);
    expect(asked[0]).toBeGreaterThan(asked[1]!);
    const consistency = await proofs.prove((hasher, read) => consistencyProof(hasher, 257, SIZE, read));
    expect(consistency.map((hash) => Buffer.from(hash))).toEqual(
      (await consistencyProof(nodeHasher, 257, SIZE, nodeAt)).map((hash) => Buffer.from(hash)),
    );
  });

  it('are not made of tiles that are not there', async () => {
    const { db } = counted();
    const proofs = new TileProofs({ ...db, query: () => Promise.resolve([]) });
    await expect(proofs.prove((hasher, read) => inclusionProof(hasher, 3, SIZE, read))).rejects.toThrow('cut off');
  });
});
