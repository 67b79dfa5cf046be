import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { quietSqlite } from '../../database/data-source.js';

/** A folder of a witness that cannot be used. The message names the file and why. */
export class WitnessFolderError extends Error {
  override readonly name = 'WitnessFolderError';
}

/**
 * Where a witness keeps what it must not forget, readable by its owner only: `vkey`, `witness.key`, `cosigned` (the
 * origins of all logs that it ever cosigned), and for each log the checkpoint cosigned last in
 * `checkpoints/<SHA-256 of the origin>`, as the signed note that was answered. A file is replaced as a whole and is on
 * the disk, name and content, before {@link write} resolves.
 */
export class WitnessFolder {
  private lock: DataSource | null = null;

  constructor(readonly path: string) {}

  /** Makes the folder and keeps it for this process. @throws {WitnessFolderError} when another process has it */
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

  /** Resolves when the file is durable; the folder must be taken. After a rejection it holds the old text or the new one, whole. */
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

  /** Gives the folder to whoever wants it next. */
  async release(): Promise<void> {
    await this.lock?.destroy();
    this.lock = null;
  }
}

/** File of a log's last checkpoint: origins may hold what no file name may. */
export function checkpointFile(origin: string): string {
  return join('checkpoints', createHash('sha256').update(origin).digest('hex'));
}

/**
 * Node has no file locks, SQLite has: they are the kernel's, end with the process however it ends, and hold across
 * containers that share the folder. The file stays empty.
 */
async function lockFile(file: string): Promise<DataSource> {
  const options = { type: 'sqlite', database: file, driver: quietSqlite };
  const source = await new DataSource(options as never).initialize();
  try {
    await source.query('BEGIN EXCLUSIVE');
    return source;
  } catch (error) {
    await source.destroy();
    const { code } = (error as { driverError?: { code?: string } }).driverError ?? {};
    if (code !== 'SQLITE_BUSY') throw error;
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
