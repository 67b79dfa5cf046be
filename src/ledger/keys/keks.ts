import type { Db } from '../../database/db.js';
import { VaultError } from '../crypto/aes-gcm.js';
import { createKey, loadKey, loadOrCreateKey } from '../crypto/key-files.js';
import { KEY } from '../crypto/seal-in-place.js';
import { LedgerUnavailable } from '../unavailable.js';
import { kekFiles, kekIds, removeKeks } from './kek-files.js';

/**
 * Key-encryption keys (KEKs): files `kek-<id>` in the keys folder, never in the database (design 3). The newest wraps: the
 * one with the highest id. All of them unwrap, until the old ones are destroyed.
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

  /** The KEK that wraps, as the keys folder was when it was last looked at. */
  get newest(): { readonly id: string; readonly key: Uint8Array } {
    return { id: this.newestId, key: this.keks.get(this.newestId) as Uint8Array };
  }

  /**
   * The KEK of that id. One that is not in memory is looked for in the folder: another process may have made it just now.
   * @throws {VaultError} when it is not there
   */
  get(id: string): Uint8Array {
    if (!this.keks.has(id)) this.followFolder();
    const key = this.keks.get(id);
    if (!key) throw new VaultError(`key-encryption key ${isKekId(id) ? id : '(unknown)'} is not here`);
    return key;
  }

  /** Whether the keys folder held this KEK when it was last looked at. */
  has(id: string): boolean {
    return this.keks.has(id);
  }

  /**
   * Whether a KEK of that id is missing: it is older than the newest, and the keys folder did not hold it when it was last
   * looked at. One that is newer than all never existed, as far as this process knows.
   */
  lacks(id: string): boolean {
    return isKekId(id) && id < this.newestId && !this.keks.has(id);
  }

  /**
   * Whether a KEK up to this one is in the folder, or a copy of it under whatever name: what was wrapped under it can be
   * opened in an old backup. Reads the whole folder.
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
   * Takes over what another process has made or destroyed in the keys folder.
   * @throws {LedgerUnavailable} when the folder cannot be read, holds no KEK, or holds one that cannot be used: what is in
   *   memory may be destroyed already
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

  /** Makes the next KEK; from now on it wraps, in other processes of the same keys folder too. @returns its id */
  add(): string {
    this.followFolder();
    const next = String(Number(this.newestId) + 1).padStart(4, '0');
    createKey(this.dir, `kek-${next}`, KEY);
    this.load();
    return next;
  }

  /**
   * From the commit of this on no process wraps under a KEK older than the newest: a batch that was sealed before is
   * refused and sealed anew. Call it inside `writer.side`; then rewrap what came before it.
   */
  async retireOld(db: Db): Promise<void> {
    this.followFolder();
    await db.query('UPDATE log_head SET oldest_kek = ? WHERE oldest_kek < ?', [this.newestId, this.newestId]);
  }

  /**
   * Destroys every KEK but the newest, and all copies of them in the folder whatever their names, once {@link retireOld}
   * is committed: what only they wrapped is gone for good. On the disk they are gone when this resolves; where it
   * rejects, what was removed is gone there, too.
   * @returns their ids
   * @throws {VaultError} while a subject key still needs one of them, or may come to; what reading or removing a file
   *   throws
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
      // Null where another process destroys it at this moment.
      if (key) keks.set(id, key);
    }
    this.keks = keks;
    this.newestId = [...keks.keys()].at(-1) ?? '';
  }
}

const isKekId = (id: string): boolean => /^\d{4}$/.test(id);

/**
 * The oldest KEK that may wrap; until the transaction ends it stays that. Ask for it before the transaction locks
 * anything else, as an erasure does.
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
