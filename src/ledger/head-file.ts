import { type FileHandle, open, readFile, rename } from 'node:fs/promises';

/** Beyond this size the file begins anew, so that it does not grow for ever. */
const COMPACT_BYTES = 64 * 1024 * 1024;

/**
 * The append-only file of signed checkpoints outside the database. A database that was set back, or whose
 * write-ahead log lost its tail, is shorter than what this file remembers.
 *
 * Format: signed notes, one after another. What a crash cut off was never acknowledged and is passed over.
 * Several processes may append to one file: it is never replaced, only emptied once its last checkpoint
 * stands in `<file>.previous`.
 */
export class HeadFile {
  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
    private size: number,
    /** The last whole checkpoint at opening, or null for a new file. */
    readonly last: string | null,
  ) {}

  static async open(path: string): Promise<HeadFile> {
    const text = await readIfThere(path);
    const handle = await open(path, 'a', 0o600);
    // A cut-off note must not run into the next one.
    if (text !== '' && !text.endsWith('\n')) await handle.appendFile('\n');
    return new HeadFile(path, handle, Buffer.byteLength(text), await readHeadFile(path));
  }

  /** Resolves when the checkpoint is on the disk (fdatasync). */
  async append(checkpoint: string): Promise<void> {
    if (this.size > COMPACT_BYTES) await this.compact(checkpoint);
    await this.handle.appendFile(checkpoint);
    await this.handle.datasync();
    this.size += Buffer.byteLength(checkpoint);
  }

  private async compact(checkpoint: string): Promise<void> {
    const draft = await open(`${this.path}.draft`, 'w', 0o600);
    await draft.writeFile(checkpoint);
    await draft.sync();
    await draft.close();
    await rename(`${this.path}.draft`, previous(this.path));
    await this.handle.truncate(0);
    this.size = 0;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

const previous = (path: string): string => `${path}.previous`;

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** The last whole signed note of the text: three lines, an empty one, one signature line. */
export function lastNote(text: string): string | null {
  const notes = text.match(/[^\n]+\n\d+\n[^\n]+\n\n— [^\n]+\n/g);
  return notes?.at(-1) ?? null;
}

/** The last checkpoint that the file remembers, without touching it. */
export async function readHeadFile(path: string): Promise<string | null> {
  return lastNote(await readIfThere(path)) ?? lastNote(await readIfThere(previous(path)));
}
