import { HASH_BYTES, type Hasher } from '../hasher.js';
import { completeAt, type NodeAt } from './merkle.js';

/** Height of a tile: each holds up to 2^8 nodes of every eighth level (C2SP tlog-tiles). */
export const TILE_HEIGHT = 8;
export const TILE_WIDTH = 2 ** TILE_HEIGHT;
const MAX_LEVEL = 63;
/** An entry's length must fit the two length bytes of an entry bundle (C2SP tlog-tiles). */
export const MAX_ENTRY_BYTES = 65_535;

/** Tile bytes, bundle bytes or coordinates are invalid by C2SP tlog-tiles. */
export class TileError extends Error {
  override readonly name = 'TileError';
}

export interface TilePath {
  /** Level of a hash tile, 0 to 63, or an entry bundle. */
  readonly level: number | 'entries';
  readonly index: number;
  /** Number of hashes or entries, 1 to 256. */
  readonly width: number;
}

const PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/** Path of a hash tile below the log's prefix, for example `tile/1/x001/x234/067.p/17`. @throws TileError */
export function tilePath(level: number, index: number, width = TILE_WIDTH): string {
  if (!Number.isInteger(level) || level < 0 || level > MAX_LEVEL) throw new TileError('level');
  return path(String(level), index, width);
}

/** Path of an entry bundle, for example `tile/entries/x001/x234/067.p/112`. @throws TileError */
export function entriesPath(index: number, width = TILE_WIDTH): string {
  return path('entries', index, width);
}

/** Reads a path as the two functions above write it; null for every other text, leading zeros included. */
export function parseTilePath(text: string): TilePath | null {
  const [, kind, groups, partial] = PATH.exec(text) ?? [];
  if (kind === undefined || groups === undefined) return null;
  const index = Number(groups.replaceAll(/[x/]/g, ''));
  const width = partial === undefined ? TILE_WIDTH : Number(partial);
  const level = kind === 'entries' ? kind : Number(kind);
  if (!Number.isSafeInteger(index) || width < 1 || width > TILE_WIDTH) return null;
  if (level !== 'entries' && level > MAX_LEVEL) return null;
  const written = level === 'entries' ? entriesPath(index, width) : tilePath(level, index, width);
  return written === text ? { level, index, width } : null;
}

/**
 * Number of hashes of a tile in a tree of `size` leaves, 0 (there is no such tile) to 256. Entry bundles have the
 * widths of level 0.
 */
export function tileWidth(level: number, index: number, size: number): number {
  const width = completeAt(size, TILE_HEIGHT * level) - index * TILE_WIDTH;
  return Math.min(TILE_WIDTH, Math.max(0, width));
}

/** An entry bundle: each entry after its length, a big-endian uint16. @throws TileError when an entry is too long. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw new TileError('entry is too long');
    length += 2 + entry.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const entry of entries) {
    bytes[at] = entry.length >> 8;
    bytes[at + 1] = entry.length & 0xff;
    bytes.set(entry, at + 2);
    at += 2 + entry.length;
  }
  return bytes;
}

/** The entries of a bundle, as views on its bytes. @throws TileError when it is cut off or holds more than 256. */
export function decodeBundle(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    // Checked before the view is made: megabytes of zeros would be millions of empty entries.
    if (entries.length === TILE_WIDTH) throw new TileError('bundle holds too many entries');
    if (at + 2 > bytes.length) throw new TileError('bundle is cut off');
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
    if (end > bytes.length) throw new TileError('bundle is cut off');
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/**
 * Hash of a complete subtree that lies within one tile, computed from the tile's hashes.
 * @param tile its hashes, 32 bytes each
 * @param level height above the tile's own hashes, 0 to 8
 * @param index position among the subtrees of that height in this tile
 * @throws TileError when the tile does not reach that far
 */
export function nodeInTile(hasher: Hasher, tile: Uint8Array, level: number, index: number): Uint8Array {
  const width = 2 ** level;
  const from = index * width;
  if (level < 0 || level > TILE_HEIGHT || from + width > TILE_WIDTH) throw new TileError('not within one tile');
  if (tile.length % HASH_BYTES !== 0 || tile.length < (from + width) * HASH_BYTES)
    throw new TileError('tile is cut off');
  let row: Uint8Array[] = [];
  for (let at = from; at < from + width; at++) row.push(tile.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES));
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let at = 0; at < row.length; at += 2) above.push(hasher.node(row[at]!, row[at + 1]!));
    row = above;
  }
  return row[0]!;
}

/** The tile that gives the node of a tree: its level counts tiles, not nodes. */
export function tileOfNode(level: number, index: number): { level: number; index: number } {
  const within = level % TILE_HEIGHT;
  return { level: (level - within) / TILE_HEIGHT, index: Math.floor(index / 2 ** (TILE_HEIGHT - within)) };
}

/**
 * Reads nodes from tiles, each tile only once per reader. Tiles are not verified: check a proof made from them against
 * a signed root.
 * @param readTile gives the existing hashes of a tile, 32 bytes each; must reject when there is no such tile
 */
export function tileNodeReader(
  hasher: Hasher,
  readTile: (level: number, index: number) => Promise<Uint8Array>,
): NodeAt {
  const tiles = new Map<string, Promise<Uint8Array>>();
  return async (level, index) => {
    const within = level % TILE_HEIGHT;
    const of = tileOfNode(level, index);
    const key = `${of.level}/${of.index}`;
    let tile = tiles.get(key);
    if (!tile) tiles.set(key, (tile = readTile(of.level, of.index)));
    return nodeInTile(hasher, await tile, within, index % 2 ** (TILE_HEIGHT - within));
  };
}

function path(kind: string, index: number, width: number): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new TileError('index');
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) throw new TileError('width');
  const digits = String(index);
  const groups = digits.padStart(3 * Math.ceil(digits.length / 3), '0').replaceAll(/\d{3}(?=\d)/g, 'x$&/');
  const whole = `tile/${kind}/${groups}`;
  return width === TILE_WIDTH ? whole : `${whole}.p/${width}`;
}
