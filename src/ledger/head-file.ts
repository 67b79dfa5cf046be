import { constants, type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openCheckpoint } from './core/checkpoint.js';

/** Beyond this size the file begins anew, so that it does not grow for ever. */
const COMPACT_BYTES = 64 * 1024 * 1024;
/** The newest checkpoint stands among the last ones: processes that share the file append a batch each, not thousands. */
const TAIL_BYTES = 1024 * 1024;

/** Each write returns when its bytes are on the disk, as after fdatasync, but with one trip to a thread instead of two. */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC;

/**
 * The append-only file of signed checkpoints outside the database. A database that was set back, or whose
 * write-ahead log lost its tail, is shorter than what this file remembers.
 *
 * Format: signed notes, an empty line before each. What a crash cut off was never acknowledged and is passed over.
 * Several processes may append to one file, not always in the order in which they committed: the largest counts.
 * The file is never replaced, only emptied once its largest checkpoint stands in `<file>.previous`.
 */
export class HeadFile {
  private constructor(
    private readonly path: string,
    private readonly vkey: string,
    private readonly compactBytes: number,
    private readonly handle: FileHandle,
    private size: number,
    /** The largest checkpoint at opening, or null for a new file. */
    readonly last: string | null,
  ) {}

  /** @param vkey the log's verifier key */
  static async open(path: string, vkey: string, compactBytes: number = COMPACT_BYTES): Promise<HeadFile> {
    const handle = await open(path, APPEND, 0o600);
    await syncFolder(path);
    return new HeadFile(path, vkey, compactBytes, handle, (await handle.stat()).size, await readHeadFile(path, vkey));
  }

  /** Resolves when the checkpoint is on the disk. */
  async append(checkpoint: string): Promise<void> {
    if (this.size > this.compactBytes) await this.compact();
    // The empty line ends a note that a crash cut off.
    const note = Buffer.from(`\n${checkpoint}`);
    const { bytesWritten } = await this.handle.write(note);
    if (bytesWritten < note.length) throw Object.assign(new Error('the note was cut off'), { code: 'ENOSPC' });
    this.size += note.length;
  }

  private async compact(): Promise<void> {
    const largest = await readHeadFile(this.path, this.vkey);
    if (largest !== null) {
      const draft = await open(`${this.path}.draft`, 'w', 0o600);
      await draft.writeFile(`\n${largest}`);
      await draft.sync();
      await draft.close();
      await rename(`${this.path}.draft`, previous(this.path));
      await syncFolder(this.path);
    }
    await this.handle.truncate(0);
    this.size = 0;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

const previous = (path: string): string => `${path}.previous`;

/** A file's name is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function readTail(path: string): Promise<string> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const length = Math.min(size, TAIL_BYTES);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/**
 * A signed checkpoint: three lines, an empty one, one signature line. One that lacks nothing but its last newline
 * counts, since the next note would complete it.
 */
const NOTE = /[^\n]+\n(\d+)\n[^\n]+\n\n— [^\n]+(?:\n|$)/g;

/**
 * The largest checkpoint that the file remembers, without touching it.
 * @param vkey notes that this key has not signed are passed over; null: not checked
 * @returns null when there is none. When there are notes but none is signed by the key, the largest of them:
 *   the file is another log's, which is for the caller to refuse
 */
export async function readHeadFile(path: string, vkey: string | null = null): Promise<string | null> {
  const text = `${await readTail(previous(path))}\n${await readTail(path)}`;
  const notes = [...text.matchAll(NOTE)]
    .map(([note, size]) => ({ note: note.endsWith('\n') ? note : `${note}\n`, size: Number(size) }))
    .toSorted((a, b) => b.size - a.size);
  const largest = vkey === null ? notes[0] : (notes.find(({ note }) => isSigned(note, vkey)) ?? notes[0]);
  return largest?.note ?? null;
}

function isSigned(note: string, vkey: string): boolean {
  try {
    openCheckpoint(note, vkey);
    return true;
  } catch {
    return false;
  }
}
