import type { Db } from '../../database/db.js';
import { VaultError } from '../crypto/aes-gcm.js';
import { createKey, loadKey, loadOrCreateKey } from '../crypto/key-files.js';
import { KEY } from '../crypto/seal-in-place.js';
import { LedgerUnavailable } from '../unavailable.js';
import { kekFiles, kekIds, removeKeks } from './kek-files.js';

/**
 * Key-encryption keys (KEKs): files `kek-<id>` in the keys folder, never in the database (design 3). The newest, with
 * the highest id, wraps keys. All of them unwrap, until the old ones are destroyed.
 */
export class Keks {
  private keks = new Map<string, Uint8Array>();
  private newestId = '';

  /** @param dir the keys folder; the first KEK is made at first use */
  constructor(private readonly dir: string) {
    this.load();
    if (this.newestId === '') {
      loadOrCreateKey(dir, 'kek-0001', KEY);
      this.load();
    }
  }

  /** The KEK that wraps, as of the last look at the keys folder. */
  get newest(): { readonly id: string; readonly key: Uint8Array } {
    return { id: this.newestId, key: this.keks.get(this.newestId) as Uint8Array };
  }

  /**
   * The KEK with that id. If it is not in memory the folder is read again, since another process may have just made it.
   * @throws {VaultError} when it is not there
   */
  get(id: string): Uint8Array {
    if (!this.keks.has(id)) this.followFolder();
    const key = this.keks.get(id);
    if (!key) throw new VaultError(`key-encryption key ${isKekId(id) ? id : '(unknown)'} is not here`);
    return key;
  }

  /** Whether the keys folder held this KEK at the last look. */
  has(id: string): boolean {
    return this.keks.has(id);
  }

  /**
   * Whether a KEK with that id is missing: older than the newest, and not in the keys folder at the last look. A larger
   * id counts as never made.
   */
  lacks(id: string): boolean {
    return isKekId(id) && id < this.newestId && !this.keks.has(id);
  }

  /**
   * Whether the folder holds this KEK or an older one, or a copy under any name. With it, data in an old backup can
   * still be opened. Reads the whole folder.
   * @throws {LedgerUnavailable} when the folder or a file in it that may be a copy cannot be read
   */
  holdsUpTo(kek: string): boolean {
    this.followFolder();
    try {
      return kekFiles(this.dir, this.keks).some(({ id }) => id <= kek);
    } catch {
      throw new LedgerUnavailable('the keys folder cannot be read', 5);
    }
  }

  /**
   * Reads the keys folder again, since another process may have made or destroyed KEKs.
   * @throws {LedgerUnavailable} when the folder cannot be read, holds no KEK, or holds one that cannot be used: the
   * KEKs in memory may be destroyed already
   */
  followFolder(): void {
    let ids: string[];
    try {
      ids = kekIds(this.dir);
    } catch {
      throw new LedgerUnavailable('the keys folder cannot be read', 5);
    }
    if (ids.length === 0) throw new LedgerUnavailable('the keys folder holds no key-encryption key', 5);
    if (ids.join() === [...this.keks.keys()].join()) return;
    try {
      this.load();
    } catch {
      throw new LedgerUnavailable('the keys folder holds a key-encryption key that cannot be used', 5);
    }
  }

  /**
   * Makes the next KEK. From now on it wraps keys, also in other processes with the same keys folder.
   * @returns its id
   */
  add(): string {
    this.followFolder();
    const next = String(Number(this.newestId) + 1).padStart(4, '0');
    createKey(this.dir, `kek-${next}`, KEY);
    this.load();
    return next;
  }

  /**
   * After this is committed, no process wraps under a KEK older than the newest: a batch sealed before is refused and
   * sealed again. Call it inside `writer.side`; then rewrap the existing keys.
   */
  async retireOld(db: Db): Promise<void> {
    this.followFolder();
    await db.query('UPDATE log_head SET oldest_kek = ? WHERE oldest_kek < ?', [this.newestId, this.newestId]);
  }

  /**
   * Destroys every KEK except the newest, and all copies of them in the folder under any name. Data that only they
   * wrapped is lost for good. Call it after {@link retireOld} is committed. When this resolves or rejects, every
   * removed file is gone from disk.
   * @returns their ids
   * @throws {VaultError} while a subject key needs one of them, or still may; file system errors
   */
  async destroyOld(db: Db): Promise<string[]> {
    const oldest = await holdKeks(db);
    this.followFolder();
    if (oldest < this.newestId)
      throw new VaultError('an older key-encryption key may still wrap, somebody else rotates, too: run it again');
    const [row] = await db.query<{ n: number }>('SELECT count(*) AS n FROM subject WHERE kek <> ?', [this.newestId]);
    if ((row?.n ?? 0) > 0)
      throw new VaultError('subject keys are still wrapped by an older key-encryption key: run it again');
    const old = kekFiles(this.dir, this.keks).filter(({ id }) => id < this.newestId);
    removeKeks(this.dir, old);
    this.load();
    return [...new Set(old.map(({ id }) => id))];
  }

  private load(): void {
    const keks = new Map<string, Uint8Array>();
    for (const id of kekIds(this.dir)) {
      const key = loadKey(this.dir, `kek-${id}`, KEY);
      // Null when another process destroys it at this moment.
      if (key) keks.set(id, key);
    }
    this.keks = keks;
    this.newestId = [...keks.keys()].at(-1) ?? '';
  }
}

const isKekId = (id: string): boolean => /^\d{4}$/.test(id);

/**
 * The oldest KEK that may wrap; it cannot change until the transaction ends. Call this before the transaction locks
 * anything else, as an erasure does: the same order avoids deadlocks.
 */
export async function holdKeks(db: Db): Promise<string> {
  // On SQLite the transaction has the database to itself.
  const lock = db.dialect === 'postgres' ? ' FOR SHARE' : '';
  const [row] = await db.query<{ oldest_kek: string }>(`SELECT oldest_kek FROM log_head WHERE id = 1${lock}`);
  return row?.oldest_kek ?? '';
}

/** @throws {LedgerUnavailable} when this KEK is being destroyed, and the keys folder does not show the newer one yet */
export function mayWrap<T extends { kek: string }>(wrapped: T, oldest: string): T {
  if (wrapped.kek < oldest) throw new LedgerUnavailable('the keys folder lacks the newest key-encryption key', 5);
  return wrapped;
}
