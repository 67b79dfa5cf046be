import { equal } from '../bytes.js';
import type { Checkpoint } from './checkpoint.js';
import { HASH_BYTES, type Hasher } from '../hasher.js';
import { completeAt, GrowingTree, rootAt } from './merkle.js';
import {
  decodeBundle,
  entriesPath,
  nodeInTile,
  TILE_HEIGHT,
  TILE_WIDTH,
  TileError,
  tileNodeReader,
  tilePath,
  tileWidth,
} from './tiles.js';

/**
 * Gets a file of a log (C2SP tlog-tiles).
 * @param path below the log's prefix, for example `tile/0/000.p/112`
 * @returns its bytes; null when there is no such file. Rejections reach the caller unchanged
 */
export type FetchFile = (path: string) => Promise<Uint8Array | null>;

/** A file is missing, or does not belong to the tree that the checkpoint signs. */
export class LogFileError extends Error {
  override readonly name = 'LogFileError';

  constructor(
    /** Below the log's prefix. */
    readonly path: string,
    readonly reason: 'missing' | 'length' | 'hash',
  ) {
    super(`${path}: ${reason}`);
  }
}

export interface Bundle {
  /** Log index of the first entry. */
  readonly first: number;
  /** Bytes of the entries, verified against the tree. */
  readonly entries: readonly Uint8Array[];
  /** Their leaf hashes in the tree. */
  readonly leaves: readonly Uint8Array[];
}

/**
 * Reads a log's files at one checkpoint. A tile is authenticated against its parent, and so against the signed root,
 * before it is used. Memory: one tile per level.
 */
export class LogClient {
  private readonly kept: { index: number; tile: Uint8Array }[] = [];

  private constructor(
    private readonly hasher: Hasher,
    private readonly fetch: FetchFile,
    private readonly size: number,
    /** The partial tiles, by level. Together they give the root. */
    private readonly edge: ReadonlyMap<number, Uint8Array>,
  ) {}

  /**
   * Fetches the partial tiles at the right edge of the tree and checks that they give the root.
   * @param checkpoint opened with the log's key by the caller
   * @throws LogFileError when they do not; it names the tile if there is only one
   */
  static async open(hasher: Hasher, fetch: FetchFile, { size, root }: Omit<Checkpoint, 'origin'>): Promise<LogClient> {
    const edge = new Map<number, Uint8Array>();
    const frontier: Uint8Array[] = [];
    let path = 'checkpoint';
    for (let level = 0; completeAt(size, TILE_HEIGHT * level) > 0; level++) {
      const nodes = completeAt(size, TILE_HEIGHT * level);
      const width = nodes % TILE_WIDTH;
      if (width === 0) continue;
      path = tilePath(level, Math.floor(nodes / TILE_WIDTH), width);
      const tile = await hashesAt(fetch, path, width);
      edge.set(level, tile);
      for (let height = 0; height < TILE_HEIGHT; height++) {
        const count = completeAt(width, height);
        if (count % 2 === 1) frontier.unshift(nodeInTile(hasher, tile, height, count - 1));
      }
    }
    if (!equal(new GrowingTree(hasher, size, frontier).root(), root))
      throw new LogFileError(edge.size > 1 ? 'checkpoint' : path, 'hash');
    return new LogClient(hasher, fetch, size, edge);
  }

  /**
   * A hash tile with all hashes that the tree has, 32 bytes each.
   * @throws LogFileError; RangeError when the tree has no such tile
   */
  async tile(level: number, index: number): Promise<Uint8Array> {
    const width = tileWidth(level, index, this.size);
    if (width === 0) throw new RangeError('the tree has no such tile');
    const partial = width < TILE_WIDTH ? this.edge.get(level) : undefined;
    if (partial) return partial;
    const kept = this.kept[level];
    if (kept?.index === index) return kept.tile;
    const parent = await this.tile(level + 1, Math.floor(index / TILE_WIDTH));
    const path = tilePath(level, index);
    const tile = await hashesAt(this.fetch, path, TILE_WIDTH);
    if (!equal(nodeInTile(this.hasher, tile, TILE_HEIGHT, 0), hashIn(parent, index % TILE_WIDTH)))
      throw new LogFileError(path, 'hash');
    this.kept[level] = { index, tile };
    return tile;
  }

  /**
   * Root of the first `size` entries. A checkpoint of that size must have signed it if this log continues it.
   * @throws LogFileError; RangeError when the tree is smaller
   */
  async rootAt(size: number): Promise<Uint8Array> {
    if (size > this.size) throw new RangeError('the tree is smaller');
    return rootAt(
      this.hasher,
      size,
      tileNodeReader(this.hasher, (level, index) => this.tile(level, index)),
    );
  }

  /** Entries in log order, bundle by bundle, from log index `from` on, each compared with its leaf. @throws LogFileError */
  async *bundles(from = 0): AsyncGenerator<Bundle, void> {
    for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < this.size; index++) {
      const tile = await this.tile(0, index);
      const path = entriesPath(index, tile.length / HASH_BYTES);
      const entries = await entriesAt(this.fetch, path);
      if (entries.length * HASH_BYTES !== tile.length) throw new LogFileError(path, 'length');
      const leaves = entries.map((entry) => this.hasher.leaf(entry));
      if (leaves.some((leaf, at) => !equal(leaf, hashIn(tile, at)))) throw new LogFileError(path, 'hash');
      const skip = Math.max(0, from - index * TILE_WIDTH);
      if (skip < entries.length)
        yield { first: index * TILE_WIDTH + skip, entries: entries.slice(skip), leaves: leaves.slice(skip) };
    }
  }
}

async function fileAt(fetch: FetchFile, path: string): Promise<Uint8Array> {
  const file = await fetch(path);
  if (file === null) throw new LogFileError(path, 'missing');
  return file;
}

async function hashesAt(fetch: FetchFile, path: string, width: number): Promise<Uint8Array> {
  const tile = await fileAt(fetch, path);
  if (tile.length !== width * HASH_BYTES) throw new LogFileError(path, 'length');
  return tile;
}

async function entriesAt(fetch: FetchFile, path: string): Promise<Uint8Array[]> {
  const file = await fileAt(fetch, path);
  try {
    return decodeBundle(file);
  } catch (error) {
    if (error instanceof TileError) throw new LogFileError(path, 'length');
    throw error;
  }
}

const hashIn = (tile: Uint8Array, at: number): Uint8Array => tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
