import { ROTATIONS, CONTINUED } from '../served-lists.js';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EncodingError, fromUtf8 } from '../../../ledger/core/bytes.js';
import { type Checkpoint, CheckpointError, parseCheckpoint } from '../../../ledger/core/tlog/checkpoint.js';
import { HASH_BYTES } from '../../../ledger/core/hasher.js';
import { ContinuationError } from '../../../ledger/core/statements/continuation.js';
import { type Bundle, LogClient, LogFileError } from '../../../ledger/core/tlog/log-client.js';
import { NoteError, splitNote } from '../../../ledger/core/tlog/note.js';
import { encodeBundle, type TilePath, tileWidth } from '../../../ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../../ledger/crypto/node-hasher.js';
import { continuedIn } from '../continued.js';
import { readIfThere, replaceDurably, writeDurably } from '../durable.js';
import { FollowFolderError } from '../chain-ends.js';
import { bundleAt, type Completing, StoredFiles } from './stored-files.js';

/** The tree whose checkpoint the folder holds. */
interface Shown {
  readonly note: string;
  readonly checkpoint: Checkpoint;
  /** Reads its files; null until the first of them is asked for. */
  client: LogClient | null;
}

/**
 * An organisation's own copy of a log: the files of C2SP tlog-tiles in a folder, which any static web server can serve
 * as `/log`. Every file is checked before it is written and each time it is read here. The checkpoint moves last, so
 * that the folder never shows a tree whose files are missing.
 */
export class Replica {
  private readonly files: StoredFiles;
  /** Whether this process has checked all files and found none wrong since. */
  private sound = false;

  private constructor(
    private readonly folder: string,
    private shown: Shown | null,
    private rotations: string | null,
    /** The file `continued`; null: none; undefined: damaged. */
    private renamings: string | null | undefined,
  ) {
    this.files = new StoredFiles(folder);
  }

  /** @throws {FollowFolderError} when its checkpoint is malformed. The caller checks which log signed it. */
  static async open(folder: string): Promise<Replica> {
    const file = await readIfThere(join(folder, 'checkpoint'));
    const rotations = await readIfThere(join(folder, ROTATIONS));
    const renamings = await readRenamings(join(folder, CONTINUED));
    try {
      return new Replica(folder, file && shownBy(fromUtf8(file)), rotations && fromUtf8(rotations), renamings);
    } catch (error) {
      if (error instanceof EncodingError || error instanceof NoteError || error instanceof CheckpointError)
        throw new FollowFolderError(`checkpoint or rotations of the replica are damaged (${error.message})`);
      throw error;
    }
  }

  /** How the log's key was replaced, as `/log/rotations` serves it; null when it never was. */
  keyRotations(): string | null {
    return this.rotations;
  }

  /**
   * Writes the rotations. Call this before the folder shows a checkpoint by a new key.
   * @param text as {@link keyRotations} gives it
   */
  async keepRotations(text: string): Promise<void> {
    if (text === this.rotations) return;
    await writeDurably(join(this.folder, ROTATIONS), text);
    this.rotations = text;
  }

  /**
   * Writes the events by which the log took new names, also over a damaged file. Call this before the folder shows a
   * checkpoint of the log.
   * @param text as `/log/continued` serves it; null: the log shows none. An intact file then stays: a key has signed it
   */
  async keepContinued(text: string | null): Promise<void> {
    if (text === this.renamings || (text === null && this.renamings !== undefined)) return;
    if (text !== null) await replaceDurably(this.folder, CONTINUED, text);
    else await rm(join(this.folder, CONTINUED), { recursive: true, force: true });
    this.renamings = text;
  }

  /** @returns the signed note; null before the first */
  checkpoint(): string | null {
    return this.shown?.note ?? null;
  }

  /** Stores checked entries and their leaf hashes durably. @param bundle must begin with its first entry */
  async keep(bundle: Bundle): Promise<void> {
    await this.files.keep(bundle);
  }

  /**
   * Moves to a checkpoint whose entries are checked and continue those shown so far. The first time, and after a wrong
   * file was found, it checks all files and fetches missing or wrong ones again.
   * @param log reads the same tree from the followed log
   * @returns number of files that were fetched again
   * @throws LogFileError when the log lacks one of the files; the reason of `stop` when that ends it
   * @throws RangeError when the checkpoint is smaller than the one shown: that one is evidence, and must stay
   */
  async publish(
    note: string,
    checkpoint: Checkpoint,
    log: LogClient,
    { progress, stop }: Pick<Completing, 'progress' | 'stop'> = {},
  ): Promise<number> {
    if (this.sound && note === this.shown?.note) return 0;
    const before = this.shown?.checkpoint.size ?? 0;
    if (checkpoint.size < before) throw new RangeError('a replica is not set back');
    const known = this.sound ? before : 0;
    const mended = await this.files.complete(checkpoint, log, { known, before, progress, stop });
    if (note !== this.shown?.note) await writeDurably(join(this.folder, 'checkpoint'), note);
    this.shown = { note, checkpoint, client: null };
    this.sound = true;
    return mended;
  }

  /**
   * A file of the published tree.
   * @returns null: the tree has no such file
   * @throws LogFileError when the folder's file is missing or wrong; the next {@link publish} fetches it again
   */
  async read({ level, index, width }: TilePath): Promise<Uint8Array | null> {
    const { shown } = this;
    if (!shown || width > tileWidth(level === 'entries' ? 0 : level, index, shown.checkpoint.size)) return null;
    try {
      const client = (shown.client ??= await LogClient.open(
        nodeHasher,
        (path) => this.files.read(path),
        shown.checkpoint,
      ));
      if (level !== 'entries') return (await client.tile(level, index)).subarray(0, width * HASH_BYTES);
      return encodeBundle((await bundleAt(client, index)).entries.slice(0, width));
    } catch (error) {
      if (error instanceof LogFileError) this.sound = false;
      throw error;
    }
  }
}

/** @returns null: there is no file; undefined: it cannot be read, or the keys have not signed its content */
async function readRenamings(path: string): Promise<string | null | undefined> {
  const file = await readIfThere(path).catch(() => undefined);
  if (!file) return file;
  try {
    continuedIn(file);
    return fromUtf8(file);
  } catch (error) {
    if (error instanceof ContinuationError) return undefined;
    throw error;
  }
}

/** @throws NoteError, CheckpointError */
function shownBy(note: string): Shown {
  const { origin, size, root } = parseCheckpoint(splitNote(note).text);
  return { note, checkpoint: { origin, size, root }, client: null };
}
