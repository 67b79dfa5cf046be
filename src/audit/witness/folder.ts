import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { SqliteError, SqliteFile } from '../../sqlite/sqlite-file.js';

/** A witness's folder that cannot be used. The message names the file and says why. */
export class WitnessFolderError extends Error {
  override readonly name = 'WitnessFolderError';
}

/**
 * Where a witness keeps what it must not forget; only its owner can read it. It holds `vkey`, `witness.key`, `cosigned`
 * (the origins of all logs that it ever cosigned), and for each log the last checkpoint that it cosigned, as the signed
 * note that it answered, in `checkpoints/<SHA-256 of the origin>`. {@link write} replaces a file as a whole: name and
 * content are on the disk before it resolves.
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

  /** Resolves when the file is durable; the folder must be taken. After a rejection it holds the old text or the new one, never a part. */
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

  /** Unlocks the folder. */
  async release(): Promise<void> {
    await this.lock?.close();
    this.lock = null;
  }
}

/** Where a log's last checkpoint stands. The name is a hash because an origin may hold what a file name cannot. */
export function checkpointFile(origin: string): string {
  return join('checkpoints', createHash('sha256').update(origin).digest('hex'));
}

/**
 * Node has no file locks, but SQLite has. They are the kernel's: they end with the process however it ends, and hold
 * between containers that share the folder. The file stays empty.
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
