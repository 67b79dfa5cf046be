import { randomUUID } from 'node:crypto';
import { constants, existsSync, statSync } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openCheckpoint } from '../core/tlog/checkpoint.js';

/** Beyond this size a new file is begun, so that it does not grow without limit. */
const ROTATE_BYTES = 64 * 1024 * 1024;
/**
 * Bytes at the end in which the newest checkpoint must be: processes that share the file append one batch each, not
 * thousands.
 */
const TAIL_BYTES = 1024 * 1024;

/**
 * Each write returns when its bytes are on disk, as after fdatasync, but with one trip to the thread pool instead of
 * two.
 */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC;

/** The log's verifier keys, in any order. */
export interface HeadFileKeys {
  readonly vkeys: readonly string[];
}

/**
 * The append-only file of signed checkpoints outside the database. A database that was set back, or whose write-ahead
 * log lost its tail, has fewer entries than this file remembers.
 *
 * Format: signed notes, an empty line before each. A note that a crash cut off was never acknowledged and is ignored.
 * Several processes may append to one file, not always in the order of their commits: the largest checkpoint counts.
 *
 * A large file is moved aside to `<file>.previous-<uuid>`, and is deleted once its successor holds the largest
 * checkpoint of all. An append counts only if its file still has the head file's name AFTER the write. Whoever moves
 * the file aside later reads it afterwards, and so finds the note.
 */
export class HeadFile {
  private constructor(
    private readonly path: string,
    private readonly keys: HeadFileKeys,
    private readonly rotateBytes: number,
    private file: Opened,
    /** The largest checkpoint at opening, or null for a new file. */
    readonly last: string | null,
  ) {}

  /** @param keys the log's verifier keys, read anew whenever the file is read */
  static async open(path: string, keys: HeadFileKeys, rotateBytes: number = ROTATE_BYTES): Promise<HeadFile> {
    const file = await openToAppend(path);
    try {
      return new HeadFile(path, keys, rotateBytes, file, await readHeadFile(path, keys.vkeys));
    } catch (error) {
      await file.handle.close();
      throw error;
    }
  }

  /** Resolves when the checkpoint is on disk for the next start. */
  async append(checkpoint: string): Promise<void> {
    if (this.file.size > this.rotateBytes) await this.rotate();
    await this.write(checkpoint);
  }

  private async write(checkpoint: string): Promise<void> {
    // The empty line ends a note that a crash cut off.
    const note = Buffer.from(`\n${checkpoint}`);
    for (;;) {
      const { bytesWritten } = await this.file.handle.write(note);
      if (bytesWritten < note.length) throw Object.assign(new Error('the note was cut off'), { code: 'ENOSPC' });
      this.file.size += note.length;
      if (isAt(this.path, this.file)) return;
      await this.reopen();
    }
  }

  private async rotate(): Promise<void> {
    if (isAt(this.path, this.file)) {
      // If two processes do this at once, the second moves the first one's new file aside: nothing is lost.
      await rename(this.path, `${this.path}${ASIDE}${randomUUID()}`).catch(unlessAbsent);
    }
    await this.reopen();
    const { largest, aside } = await readAll(this.path, this.keys.vkeys);
    if (largest === null) return;
    await this.write(largest);
    for (const file of aside) await rm(file, { force: true });
  }

  private async reopen(): Promise<void> {
    const { handle } = this.file;
    this.file = await openToAppend(this.path);
    await handle.close();
  }

  close(): Promise<void> {
    return this.file.handle.close();
  }
}

const ASIDE = '.previous-';

/** A file by its identity, which moving it does not change. */
interface Identity {
  readonly dev: number;
  readonly ino: number;
}
interface Opened extends Identity {
  readonly handle: FileHandle;
  size: number;
}

/** The file's name is on disk too when this resolves. */
async function openToAppend(path: string): Promise<Opened> {
  const handle = await open(path, APPEND, 0o600);
  try {
    await syncFolder(path);
    const { dev, ino, size } = await handle.stat();
    return { handle, dev, ino, size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Synchronous, since the kernel has this inode cached: a trip to the thread pool would cost more. */
function isAt(path: string, { dev, ino }: Identity): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.ino === ino && found.dev === dev;
}

function unlessAbsent(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** A file's name is durable once its folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The file and those that were moved aside. */
async function filesOf(path: string): Promise<string[]> {
  const folder = dirname(path);
  const names = await readdir(folder).catch((error: unknown) => (unlessAbsent(error), []));
  const own = basename(path);
  return names.filter((name) => name === own || name.startsWith(`${own}${ASIDE}`)).map((name) => join(folder, name));
}

const ENDED = '.ended-';

/**
 * Renames the head file of a log that goes on under another name, with the files that were moved aside before it. They
 * are kept but no longer read.
 * @returns its new path; null when that name is taken and nothing was moved
 */
export async function setAside(path: string, keyId: string): Promise<string | null> {
  const ended = `${path}${ENDED}${keyId}`;
  const moves = (await filesOf(path)).toSorted().map((file) => [file, ended + file.slice(path.length)] as const);
  if (moves.some(([, to]) => existsSync(to))) return null;
  // The file itself last: while it is there, this is not finished.
  for (const [file, to] of moves.toReversed()) await rename(file, to);
  await syncFolder(path);
  return ended;
}

/** Head files that {@link setAside} kept. */
export async function endedHeadFiles(path: string): Promise<string[]> {
  const names = await readdir(dirname(path)).catch((error: unknown) => (unlessAbsent(error), []));
  return names.filter((name) => name.startsWith(basename(path) + ENDED)).map((name) => join(dirname(path), name));
}

/** Opens all files as of one moment: otherwise a file that is moved aside meanwhile would be missed. */
async function openAll(path: string): Promise<Map<string, FileHandle>> {
  for (;;) {
    const opened = new Map<string, FileHandle>();
    try {
      for (const file of await filesOf(path)) {
        const handle = await open(file, 'r').catch(unlessAbsent);
        if (handle) opened.set(file, handle);
      }
      const stays = await Promise.all([...opened].map(async ([file, handle]) => isAt(file, await handle.stat())));
      if (stays.every(Boolean) && (await filesOf(path)).every((file) => opened.has(file))) return opened;
    } catch (error) {
      await closeAll(opened);
      throw error;
    }
    await closeAll(opened);
  }
}

async function closeAll(opened: ReadonlyMap<string, FileHandle>): Promise<void> {
  await Promise.all([...opened.values()].map((handle) => handle.close()));
}

async function readTail(handle: FileHandle, most: number): Promise<string> {
  const { size } = await handle.stat();
  const length = Math.min(size, most);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  return buffer.toString('utf8', 0, bytesRead);
}

/**
 * A signed checkpoint: three lines, an empty one, and a signature line, or two when the log's key was replaced. One
 * that lacks only its last newline counts, since the next note would complete it.
 */
const NOTE = /[^\n]+\n(\d+)\n[^\n]+\n(?:\n— [^\n]+)(?:\n— [^\n]+)*(?:\n|$)/g;

/**
 * The largest checkpoint that the file remembers, without touching it.
 * @param vkeys ignores notes that none of these keys has signed; null: all notes count
 * @returns null when there is none. When there are notes but none is signed by a key, the largest of them: the caller
 * must refuse the file, which is another log's
 */
export async function readHeadFile(path: string, vkeys: readonly string[] | null = null): Promise<string | null> {
  return (await readAll(path, vkeys)).largest;
}

/** All checkpoints in the whole file, the largest first. Signatures are not checked. */
export async function readWholeHeadFile(path: string): Promise<readonly { note: string; size: number }[]> {
  return (await readAll(path, null, Number.POSITIVE_INFINITY)).notes;
}

/**
 * @returns the checkpoints, the largest first; the result of {@link readHeadFile}; and the moved-aside files that were
 * read
 */
async function readAll(
  path: string,
  vkeys: readonly string[] | null,
  most = TAIL_BYTES,
): Promise<{ notes: { note: string; size: number }[]; largest: string | null; aside: string[] }> {
  const opened = await openAll(path);
  let text = '';
  try {
    for (const handle of opened.values()) text += `${await readTail(handle, most)}\n`;
  } finally {
    await closeAll(opened);
  }
  const notes = [...text.matchAll(NOTE)]
    .map(([note, size]) => ({ note: note.endsWith('\n') ? note : `${note}\n`, size: Number(size) }))
    .toSorted((a, b) => b.size - a.size);
  const largest =
    vkeys === null ? notes[0] : (notes.find(({ note }) => vkeys.some((vkey) => isSignedBy(vkey, note))) ?? notes[0]);
  return { notes, largest: largest?.note ?? null, aside: [...opened.keys()].filter((file) => file !== path) };
}

/** Whether the note is a checkpoint signed by that key. */
export function isSignedBy(vkey: string, note: string): boolean {
  try {
    openCheckpoint(note, vkey);
    return true;
  } catch {
    return false;
  }
}
