import type { Db } from '../../database/db.js';
import { completeAt, GrowingTree, rootAt } from '../core/tlog/merkle.js';
import { TILE_WIDTH, tileNodeReader } from '../core/tlog/tiles.js';
import { nodeHasher } from '../crypto/node-hasher.js';

const HASH = 32;

/** The end of the log as the writer holds it between batches. */
export interface Tip {
  readonly origin: string;
  readonly vkey: string;
  readonly size: number;
  readonly root: Buffer;
  /** Instant of the last batch, ms. */
  readonly time: number;
  readonly checkpoint: string;
  /** The log's partial tiles, one per level, from level 0. */
  readonly partialTiles: readonly Uint8Array[];
  readonly frontier: readonly Uint8Array[];
}

export interface HeadRow {
  origin: string;
  vkey: string;
  size: number;
  root: Buffer;
  time: number;
  checkpoint: string;
  read_models: number;
}

export async function readHead(db: Db): Promise<HeadRow | null> {
  const [row] = await db.query<HeadRow>(
    'SELECT origin, vkey, size, root, time, checkpoint, read_models FROM log_head WHERE id = 1',
  );
  return row ?? null;
}

export function tileReader(db: Db): (level: number, index: number) => Promise<Uint8Array> {
  return async (level, index) => {
    const [row] = await db.query<{ hashes: Buffer }>('SELECT hashes FROM tile WHERE level = ? AND idx = ?', [
      level,
      index,
    ]);
    return row?.hashes ?? new Uint8Array();
  };
}

/** The root of the first `size` leaves from the stored tiles. */
export function storedRootAt(db: Db, size: number): Promise<Uint8Array> {
  return rootAt(nodeHasher, size, tileNodeReader(nodeHasher, tileReader(db)));
}

/**
 * Loads the tip and checks the tiles against the head's root, so that nothing is built on damaged tiles.
 * @throws Error when they disagree
 */
export async function loadTip(db: Db): Promise<Tip | null> {
  const head = await readHead(db);
  if (!head) return null;
  const read = tileReader(db);
  const partialTiles: Uint8Array[] = [];
  for (let level = 0; completeAt(head.size, level * 8) > 0; level++) {
    const nodes = completeAt(head.size, level * 8);
    const width = nodes % TILE_WIDTH;
    const stored = width === 0 ? new Uint8Array() : await read(level, Math.floor(nodes / TILE_WIDTH));
    partialTiles.push(Uint8Array.from(stored.subarray(0, width * HASH)));
  }
  const nodeAt = tileNodeReader(nodeHasher, read);
  const frontier: Uint8Array[] = [];
  for (let level = Math.floor(Math.log2(head.size || 1)); head.size > 0 && level >= 0; level--) {
    const count = completeAt(head.size, level);
    if (count % 2 === 1) frontier.push(await nodeAt(level, count - 1));
  }
  const tip = { ...head, partialTiles, frontier };
  if (!head.root.equals(new GrowingTree(nodeHasher, head.size, frontier).root())) {
    throw new Error('the stored tiles do not give the root of the log head');
  }
  return tip;
}

/** Tiles that a batch changed, and the partial tiles after it. Call it before the tree settles. */
export function growTiles(
  tip: Tip,
  tree: GrowingTree,
): { written: { level: number; index: number; hashes: Uint8Array }[]; partialTiles: Uint8Array[] } {
  const written: { level: number; index: number; hashes: Uint8Array }[] = [];
  const partialTiles: Uint8Array[] = [];
  for (let level = 0; completeAt(tree.size, level * 8) > 0; level++) {
    const { first, hashes } = tree.completed(level * 8);
    let index = Math.floor(first / TILE_WIDTH);
    let tile = Buffer.concat([tip.partialTiles[level] ?? new Uint8Array(), ...hashes]);
    while (tile.length >= TILE_WIDTH * HASH) {
      written.push({ level, index: index++, hashes: tile.subarray(0, TILE_WIDTH * HASH) });
      tile = tile.subarray(TILE_WIDTH * HASH);
    }
    if (hashes.length > 0 && tile.length > 0) written.push({ level, index, hashes: tile });
    partialTiles.push(tile);
  }
  return { written, partialTiles };
}
