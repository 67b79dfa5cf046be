import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { concat, fromUtf8 } from '../ledger/core/bytes.js';
import { type Checkpoint, parseCheckpoint } from '../ledger/core/checkpoint.js';
import { HASH_BYTES } from '../ledger/core/hasher.js';
import type { Bundle, LogClient } from '../ledger/core/log-client.js';
import { completeAt } from '../ledger/core/merkle.js';
import { splitNote } from '../ledger/core/note.js';
import {
  decodeBundle,
  encodeBundle,
  entriesPath,
  TILE_HEIGHT,
  TILE_WIDTH,
  type TilePath,
  tilePath,
  tileWidth,
} from '../ledger/core/tiles.js';
import { CONTINUED } from './continued.js';
import { readIfThere, writeDurably } from './durable.js';
import { ROTATIONS } from './key-moves.js';

/**
 * An organisation's own copy of a log: the files of C2SP tlog-tiles in a folder, every one checked before it was
 * written. It shows nothing beyond its own checkpoint, which moves last.
 */
export class Replica {
  private constructor(
    private readonly folder: string,
    private note: string | null,
    private size: number,
    private rotations: string | null,
  ) {}

  static async open(folder: string): Promise<Replica> {
    const file = await readIfThere(join(folder, 'checkpoint'));
    const rotations = await readIfThere(join(folder, ROTATIONS));
    const text = rotations && fromUtf8(rotations);
    if (!file) return new Replica(folder, null, 0, text);
    const note = fromUtf8(file);
    return new Replica(folder, note, parseCheckpoint(splitNote(note).text).size, text);
  }

  /** How the log's key was replaced, as `/log/rotations` serves it; null when it never was. */
  keyRotations(): string | null {
    return this.rotations;
  }

  /** Keeps that, before a checkpoint by the new key is shown. @param text as {@link keyRotations} gives it */
  async keepRotations(text: string): Promise<void> {
    if (text === this.rotations) return;
    await writeDurably(join(this.folder, ROTATIONS), text);
    this.rotations = text;
  }

  /** How the log went on under another name, as `/log/continued` serves it; null when it never did. */
  async continued(): Promise<Uint8Array | null> {
    return readIfThere(join(this.folder, CONTINUED));
  }

  /** Keeps that, before a checkpoint of the log is shown. */
  async keepContinued(text: string): Promise<void> {
    await writeDurably(join(this.folder, CONTINUED), text);
  }

  /** @returns null before the first */
  checkpoint(): string | null {
    return this.note;
  }

  /** Keeps checked entries and their leaf hashes, durably. @param bundle from its first entry on */
  async keep({ first, entries, leaves }: Bundle): Promise<void> {
    const index = first / TILE_WIDTH;
    await this.write(tilePath(0, index, leaves.length), concat(...leaves));
    await this.write(entriesPath(index, entries.length), encodeBundle(entries));
  }

  /**
   * Moves to a checkpoint whose entries are checked and continue those that are shown.
   * @param client of that checkpoint
   * @throws RangeError when it is smaller than the one that is shown: that is evidence, and stays
   */
  async publish(note: string, { size }: Checkpoint, client: LogClient): Promise<void> {
    if (note === this.note) return;
    if (size < this.size) throw new RangeError('a replica is not set back');
    await this.fill(client, size);
    for (let level = 1; completeAt(size, level * TILE_HEIGHT) > 0; level++) {
      const nodes = completeAt(size, level * TILE_HEIGHT);
      const from = Math.floor(completeAt(this.size, level * TILE_HEIGHT) / TILE_WIDTH);
      for (let index = from; index * TILE_WIDTH < nodes; index++) {
        const tile = await client.tile(level, index);
        await this.write(tilePath(level, index, tile.length / HASH_BYTES), tile);
      }
    }
    await writeDurably(join(this.folder, 'checkpoint'), note);
    [this.note, this.size] = [note, size];
  }

  /** A file of the published tree. A partial one may be the beginning of one that is wider. @returns null: not there */
  async read({ level, index, width }: TilePath): Promise<Uint8Array | null> {
    const there = tileWidth(level === 'entries' ? 0 : level, index, this.size);
    if (width > there) return null;
    for (const stored of new Set([width, there, TILE_WIDTH])) {
      const path = level === 'entries' ? entriesPath(index, stored) : tilePath(level, index, stored);
      const file = await readIfThere(join(this.folder, path));
      if (file) return level === 'entries' ? firstEntries(file, width) : file.subarray(0, width * HASH_BYTES);
    }
    return null;
  }

  /** Fetches the bundles that are missing: of a folder that was no replica at first. */
  private async fill(client: LogClient, size: number): Promise<void> {
    for (let index = Math.floor(this.size / TILE_WIDTH); index * TILE_WIDTH < size; index++) {
      // Written after its tile.
      if (await isThere(join(this.folder, entriesPath(index, tileWidth(0, index, size))))) continue;
      for await (const bundle of client.bundles(index * TILE_WIDTH)) {
        await this.keep(bundle);
        break;
      }
    }
  }

  private async write(path: string, bytes: Uint8Array): Promise<void> {
    await writeDurably(join(this.folder, path), bytes);
    // What was the right edge once is the beginning of the full tile now.
    if (!path.includes('.p/')) await rm(join(this.folder, `${path}.p`), { recursive: true, force: true });
  }
}

async function isThere(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}

function firstEntries(bundle: Uint8Array, width: number): Uint8Array {
  const entries = decodeBundle(bundle);
  return entries.length === width ? bundle : encodeBundle(entries.slice(0, width));
}
