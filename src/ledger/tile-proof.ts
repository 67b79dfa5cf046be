import type { Db } from '../database/db.js';
import { HASH_BYTES, type Hasher } from './core/hasher.js';
import type { NodeAt } from './core/merkle.js';
import { tileNodeReader, tileOfNode } from './core/tiles.js';
import { nodeHasher } from './node-hasher.js';

const NO_HASH = new Uint8Array(HASH_BYTES);
/** Hashes nothing: to learn which tiles a proof is made of. */
const IDLE: Hasher = { ...nodeHasher, node: () => NO_HASH };

/**
 * A proof from the stored tiles, all of which are read in one statement: one after the other, the proofs of a large log
 * would take a round trip to the database more for each level of tiles.
 * @param prove makes the proof, the same one each time that it is called
 */
export async function proveFromTiles<T>(db: Db, prove: (hasher: Hasher, nodeAt: NodeAt) => Promise<T>): Promise<T> {
  const wanted = new Map<string, [level: number, index: number]>();
  await prove(IDLE, (level, index) => {
    const tile = tileOfNode(level, index);
    wanted.set(`${tile.level} ${tile.index}`, [tile.level, tile.index]);
    return Promise.resolve(NO_HASH);
  });
  const tiles = await readTiles(db, [...wanted.values()]);
  const read = (level: number, index: number): Promise<Uint8Array> =>
    Promise.resolve(tiles.get(`${level} ${index}`) ?? new Uint8Array());
  return prove(nodeHasher, tileNodeReader(nodeHasher, read));
}

async function readTiles(
  db: Db,
  wanted: readonly [level: number, index: number][],
): Promise<ReadonlyMap<string, Uint8Array>> {
  if (wanted.length === 0) return new Map();
  const rows = await db.query<{ level: number; idx: number; hashes: Buffer }>(
    `SELECT level, idx, hashes FROM tile WHERE ${wanted.map(() => '(level = ? AND idx = ?)').join(' OR ')}`,
    wanted.flat(),
  );
  return new Map(rows.map(({ level, idx, hashes }) => [`${level} ${idx}`, hashes]));
}
