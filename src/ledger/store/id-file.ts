import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { syncFolder } from './head-file.js';

/** Each write returns when its bytes are on the disk, as after fdatasync. */
const APPEND = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** SHA-256 in base64url (RFC 7638). */
const THUMBPRINT = /^[\w-]{43}$/;

/**
 * An append-only file of ids beside the head file (design 3). Every start repeats the erasures and revocations that it
 * lists, so that a restored backup does not undo them.
 *
 * Format: one id per line. Each append begins with a line break, which ends a line that a crash cut off; such lines and
 * empty ones are ignored. Several processes append to one file, each in a single write. An id may occur twice. The file
 * is never cut, rotated or recreated.
 */
export class IdFile {
  private constructor(
    private readonly path: string,
    private readonly form: RegExp,
  ) {}

  /**
   * The file of erased ids, random UUIDs. Every start erases the listed subjects again, and provisional subjects that
   * own listed chains.
   */
  static ofErased(path: string): IdFile {
    return new IdFile(path, UUID);
  }

  /** The file of actors' revoked keys, by thumbprint. Every start revokes them again. */
  static ofRevoked(path: string): IdFile {
    return new IdFile(path, THUMBPRINT);
  }

  /** Appends the ids that the file lacks. Resolves when all are on disk for the next start. */
  async add(ids: readonly string[]): Promise<void> {
    const there = await this.read();
    const fresh = ids.filter((id) => !there.has(id));
    if (fresh.length > 0) await this.append(fresh);
  }

  private async append(ids: readonly string[]): Promise<void> {
    const lines = Buffer.from(ids.map((id) => `\n${id}`).join('') + '\n');
    const handle = await open(this.path, APPEND, 0o600);
    try {
      const { bytesWritten } = await handle.write(lines);
      if (bytesWritten < lines.length) throw Object.assign(new Error('the ids were cut off'), { code: 'ENOSPC' });
    } finally {
      await handle.close();
    }
    await syncFolder(this.path);
  }

  /** All ids in the file; empty when there is no file. */
  async read(): Promise<Set<string>> {
    const text = await readFile(this.path, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    });
    return new Set(text.split('\n').filter((line) => this.form.test(line)));
  }
}
