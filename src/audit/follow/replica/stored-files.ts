import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { concat, equal } from '../../../ledger/core/bytes.js';
import type { Checkpoint } from '../../../ledger/core/tlog/checkpoint.js';
import { HASH_BYTES } from '../../../ledger/core/hasher.js';
import { type Bundle, LogClient, LogFileError } from '../../../ledger/core/tlog/log-client.js';
import { completeAt } from '../../../ledger/core/tlog/merkle.js';
import {
  decodeBundle,
  encodeBundle,
  entriesPath,
  parseTilePath,
  TILE_HEIGHT,
  TILE_WIDTH,
  TileError,
  type TilePath,
  tilePath,
  tileWidth,
} from '../../../ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../../ledger/crypto/node-hasher.js';
import { readIfReadable, replaceDurably } from '../durable.js';

export interface Completing {
  /** Number of entries up to which every file is known to be right. */
  readonly known: number;
  /** Number of entries whose files were complete before. */
  readonly before: number;
  /** Called with the number of entries whose files are right, and the total. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
  /** Ends the work between two files. */
  readonly stop?: AbortSignal | undefined;
}

/**
 * Tiles and entry bundles (C2SP tlog-tiles) in a folder. Reading checks nothing: that is left to a {@link LogClient}.
 */
export class StoredFiles {
  constructor(private readonly folder: string) {}

  /**
   * The bytes at a path. In place of a missing partial tile, the beginning of the full one.
   * @returns null: not there or not readable
   */
  async read(path: string): Promise<Uint8Array | null> {
    const tile = parseTilePath(path);
    const exact = tile && (await readIfReadable(join(this.folder, path)));
    if (exact || !tile || tile.width === TILE_WIDTH) return exact;
    const full = await readIfReadable(join(this.folder, pathOf({ ...tile, width: TILE_WIDTH })));
    return full && firstOf(tile, full);
  }

  /** Writes checked entries and their leaf hashes durably. @param bundle must begin with its first entry */
  async keep({ first, entries, leaves }: Bundle): Promise<void> {
    const index = first / TILE_WIDTH;
    await this.write(tilePath(0, index, leaves.length), concat(...leaves));
    await this.write(entriesPath(index, entries.length), encodeBundle(entries));
  }

  /**
   * Checks the files of a tree, from the root down, and fetches those that are missing or wrong. Memory: one tile per
   * level, one bundle.
   * @param log reads the same tree from the followed log
   * @returns number of files that were complete before and had to be fetched again
   * @throws LogFileError when the log lacks one; the reason of `stop` when that ends it
   */
  async complete(tree: Checkpoint, log: LogClient, { known, before, progress, stop }: Completing): Promise<number> {
    let mended = 0;
    const mend = async (level: number, index: number, path: string, bytes: Uint8Array) => {
      await this.write(path, bytes);
      if (tileWidth(level, index, before) === tileWidth(level, index, tree.size)) mended++;
    };
    const levels: number[] = [];
    for (let level = 0; completeAt(tree.size, TILE_HEIGHT * level) > 0; level++) levels.unshift(level);
    // The partial tiles give the root only together, so none can be checked alone: each is compared with the log's.
    for (const level of levels) {
      const index = Math.floor(completeAt(tree.size, TILE_HEIGHT * level) / TILE_WIDTH);
      const width = tileWidth(level, index, tree.size);
      if (width === 0) continue;
      const [path, tile] = [tilePath(level, index, width), await log.tile(level, index)];
      const stored = await this.read(path);
      if (!stored || !equal(stored, tile)) await mend(level, index, path, tile);
    }
    const own = await LogClient.open(nodeHasher, (path) => this.read(path), tree);
    for (const level of levels) {
      const full = Math.floor(completeAt(tree.size, TILE_HEIGHT * level) / TILE_WIDTH);
      for (let index = Math.floor(completeAt(known, TILE_HEIGHT * level) / TILE_WIDTH); index < full; index++) {
        stop?.throwIfAborted();
        if (!(await isRight(() => own.tile(level, index))))
          await mend(level, index, tilePath(level, index), await log.tile(level, index));
      }
    }
    for (let index = Math.floor(known / TILE_WIDTH); index * TILE_WIDTH < tree.size; index++) {
      stop?.throwIfAborted();
      const done = Math.min(tree.size, (index + 1) * TILE_WIDTH);
      if (!(await isRight(() => bundleAt(own, index)))) {
        const { entries } = await bundleAt(log, index);
        await mend(0, index, entriesPath(index, entries.length), encodeBundle(entries));
      }
      progress?.(done, tree.size);
    }
    return mended;
  }

  private async write(path: string, bytes: Uint8Array): Promise<void> {
    await replaceDurably(this.folder, path, bytes);
    // The full tile begins with the former partial ones, which are no longer needed.
    if (!path.includes('.p/')) await rm(join(this.folder, `${path}.p`), { recursive: true, force: true });
  }
}

/** The entries of one bundle. @throws LogFileError; RangeError when the tree has no such bundle */
export async function bundleAt(client: LogClient, index: number): Promise<Bundle> {
  for await (const bundle of client.bundles(index * TILE_WIDTH)) return bundle;
  throw new RangeError('the tree has no such bundle');
}

/** Whether a file of this folder matches the tree. */
async function isRight(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof LogFileError) return false;
    throw error;
  }
}

function pathOf({ level, index, width }: TilePath): string {
  return level === 'entries' ? entriesPath(index, width) : tilePath(level, index, width);
}

/** @returns null when the bytes are not such a tile */
function firstOf({ level, width }: TilePath, full: Uint8Array): Uint8Array | null {
  if (level !== 'entries') return full.subarray(0, width * HASH_BYTES);
  try {
    return encodeBundle(decodeBundle(full).slice(0, width));
  } catch (error) {
    if (error instanceof TileError) return null;
    throw error;
  }
}
