import type { Db } from '../../database/db.js';
import { HASH_BYTES, type Hasher } from '../core/hasher.js';
import type { NodeAt } from '../core/tlog/merkle.js';
import { TILE_HEIGHT, tileNodeReader, tileOfNode } from '../core/tlog/tiles.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { Recent } from '../core/recently-used.js';

const NO_HASH = new Uint8Array(HASH_BYTES);
/** Hashes nothing: used to learn which tiles a proof needs. */
const IDLE: Hasher = { ...nodeHasher, node: () => NO_HASH };

/** Nodes kept, of some 150 bytes: all above the lowest tiles of four million entries. */
const KEPT_NODES = 32_768;

/**
 * Proofs from the stored tiles. One statement reads all tiles of a proof. Nodes above the lowest tiles never change and
 * are cached: otherwise proofs would read and hash more tiles the larger the log is.
 */
export class TileProofs {
  /** As binary text: a view of 32 bytes would keep its whole buffer of 8192 bytes in memory. */
  private readonly kept = new Recent<string, string>(KEPT_NODES);

  constructor(private readonly db: Db) {}

  /** @param prove makes the proof; it is called twice and must make the same one */
  async prove<T>(prove: (hasher: Hasher, nodeAt: NodeAt) => Promise<T>): Promise<T> {
    const wanted = new Map<string, [level: number, index: number]>();
    const kept = new Map<string, Uint8Array>();
    await prove(IDLE, (level, index) => {
      const node = level < TILE_HEIGHT ? undefined : this.kept.get(`${level} ${index}`);
      const tile = tileOfNode(level, index);
      if (node !== undefined) kept.set(`${level} ${index}`, Buffer.from(node, 'latin1'));
      else wanted.set(`${tile.level} ${tile.index}`, [tile.level, tile.index]);
      return Promise.resolve(NO_HASH);
    });
    const tiles = await readTiles(this.db, [...wanted.values()]);
    const nodeAt = tileNodeReader(nodeHasher, (level, index) =>
      Promise.resolve(tiles.get(`${level} ${index}`) ?? new Uint8Array()),
    );
    return prove(nodeHasher, async (level, index) => {
      const known = kept.get(`${level} ${index}`);
      if (known) return known;
      const node = await nodeAt(level, index);
      if (level >= TILE_HEIGHT) this.kept.set(`${level} ${index}`, Buffer.from(node).toString('latin1'));
      return node;
    });
  }
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
