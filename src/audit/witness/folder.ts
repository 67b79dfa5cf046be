import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SqliteError, SqliteFile } from '../../sqlite/sqlite-file.js';

/** The witness's folder cannot be used. The message names the file and says why. */
export class WitnessFolderError extends Error {
  override readonly name = 'WitnessFolderError';
}

/**
 * The folder of a witness, readable by its owner only. It holds `vkey`, `witness.key`, and `cosigned` with the origins
 * of all logs that it ever cosigned. `checkpoints/<SHA-256 of the origin>` holds the last cosigned checkpoint of each
 * log, as a signed note.
 */
export class WitnessFolder {
  private lock: SqliteFile | null = null;

  constructor(readonly path: string) {}

  /** Makes the folder and locks it for this process. @throws {WitnessFolderError} when another process has it */
  async take(): Promise<void> {
    await mkdir(join(this.path, 'checkpoints'), { recursive: true, mode: 0o700 });
    await syncFolder(this.path);
    this.lock = await lockFile(join(this.path, 'lock'));
  }

  /** @returns null when there is no such file */
  async read(name: string): Promise<string | null> {
    try {
      return await readFile(join(this.path, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  /**
   * Replaces a whole file; its name and content are on disk before this resolves. After a rejection the file holds the
   * old text or the new one. Needs {@link take}.
   */
  async write(name: string, text: string): Promise<void> {
    const file = join(this.path, name);
    const draft = await open(`${file}.draft`, 'w', 0o600);
    try {
      await draft.writeFile(text);
      await draft.sync();
    } finally {
      await draft.close();
    }
    await rename(`${file}.draft`, file);
    await syncFolder(join(file, '..'));
  }

  async release(): Promise<void> {
    await this.lock?.close();
    this.lock = null;
  }
}

/**
 * File of a log's last checkpoint. The name is a hash because an origin may have characters that a file name cannot.
 */
export function checkpointFile(origin: string): string {
  return join('checkpoints', createHash('sha256').update(origin).digest('hex'));
}

/**
 * Locks through SQLite, since Node has no file locks. These are the kernel's: they end with the process however it
 * ends, and hold between containers that share the folder. The file stays empty.
 */
async function lockFile(file: string): Promise<SqliteFile> {
  const lock = await SqliteFile.open(file);
  try {
    await lock.query('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    await lock.close();
    if (!(error instanceof SqliteError) || error.code !== 'SQLITE_BUSY') throw error;
    throw new WitnessFolderError(`another process runs on this folder: ${file} is locked`);
  }
}

/** A file's name is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
