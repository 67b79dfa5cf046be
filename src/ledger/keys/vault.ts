import { createDecipheriv, hkdfSync } from 'node:crypto';
import type { Db } from '../../database/db.js';
import { kekFiles, kekIds, removeKeks } from './kek-files.js';
import { createKey, loadKey, loadOrCreateKey } from '../crypto/key-files.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { freshBytes } from '../crypto/random.js';
import { KEY, NONCE, OVERHEAD, sealInPlace, TAG } from '../crypto/seal-in-place.js';
import type { Secret } from '../crypto/sealer.js';
import { LedgerUnavailable } from '../unavailable.js';

/** Unwrapped subject keys kept in memory. */
const CACHED_SUBJECTS = 50_000;
/** The file of the key from which those of blind indexes and MACs are derived. */
export const INDEX_KEY = 'index.key';

/** What a ciphertext is bound to besides its key (design 3): moving it elsewhere makes it unreadable. */
export type Purpose = 'payload' | 'state' | 'field' | 'key';

/** A subject's key, unwrapped: 32 bytes. */
export interface SubjectKey {
  readonly num: number;
  readonly id: string;
  readonly key: Uint8Array;
}

/** Table `subject`. The number is bound to the wrapped key like the id. */
export interface SubjectRow {
  num: number;
  id: string;
  kek: string;
  wrapped_key: Uint8Array;
}

/** A ciphertext that its key, its place or its bytes do not fit. The message holds no plaintext. */
export class VaultError extends Error {}

/** AES-256-GCM: nonce || ciphertext || tag. */
export function encrypt(key: Uint8Array, aad: string, plain: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(plain.length + OVERHEAD);
  sealed.set(plain, NONCE);
  sealInPlace(sealed, key, aad, freshBytes(NONCE));
  return sealed;
}

/** @throws {VaultError} when key, place or bytes do not fit */
export function decrypt(key: Uint8Array, aad: string, sealed: Uint8Array): Buffer {
  if (sealed.length < NONCE + TAG) throw new VaultError('sealed bytes are too short');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(Buffer.from(aad));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE, sealed.length - TAG)), decipher.final()]);
  } catch {
    throw new VaultError('sealed bytes do not fit their key or place');
  }
}

/**
 * The key hierarchy of design 3: a chain's data key is wrapped by its subject's key, which is wrapped
 * by a key-encryption key (KEK) that carries an id. KEKs are files `kek-<id>` in the keys folder, never
 * in the database. The newest (highest id) wraps; all of them unwrap, until the old ones are destroyed.
 */
export class Vault {
  private readonly subjects = new Map<number, SubjectKey>();
  private readonly numbers = new Map<string, number>();
  private readonly purposes = new Map<string, Uint8Array>();
  private readonly root: Buffer;
  private keks = new Map<string, Uint8Array>();
  private newest = '';

  /**
   * @param dir the keys folder; keys are made at first use
   * @param origin the log's first name, part of every AAD: it stays when the log goes on under another
   */
  constructor(
    private readonly dir: string,
    readonly origin: string,
  ) {
    this.root = loadOrCreateKey(dir, INDEX_KEY, KEY);
    this.loadKeks();
    if (this.newest === '') {
      loadOrCreateKey(dir, 'kek-0001', KEY);
      this.loadKeks();
    }
  }

  /** @returns null where there are no keys; makes none (for `verify`) */
  static openExisting(dir: string, origin: string): Vault | null {
    return loadKey(dir, INDEX_KEY, KEY) && kekIds(dir).length > 0 ? new Vault(dir, origin) : null;
  }

  private loadKeks(): void {
    const keks = new Map<string, Uint8Array>();
    for (const id of kekIds(this.dir)) {
      const key = loadKey(this.dir, `kek-${id}`, KEY);
      // Null where another process destroys it at this moment.
      if (key) keks.set(id, key);
    }
    this.keks = keks;
    this.newest = [...this.keks.keys()].at(-1) ?? '';
  }

  /**
   * Takes over what another process has made or destroyed in the keys folder.
   * @throws {LedgerUnavailable} when the folder cannot be read, holds a KEK that cannot be used or none: what is in memory may be
   *   destroyed already
   */
  private followFolder(): void {
    let ids: string[];
    try {
      ids = kekIds(this.dir);
    } catch {
      throw new LedgerUnavailable('the keys folder cannot be read', 5);
    }
    if (ids.length === 0) throw new LedgerUnavailable('the keys folder holds no key-encryption key', 5);
    if (ids.join() === [...this.keks.keys()].join()) return;
    try {
      this.loadKeks();
    } catch {
      throw new LedgerUnavailable('the keys folder holds a key-encryption key that cannot be used', 5);
    }
  }

  aad(purpose: Purpose, owner: string, seq: number, column: string): string {
    return `rxledger/${purpose}/v1\n${this.origin}\n${owner}\n${seq}\n${column}`;
  }

  /** A key of its own for each use, derived by HKDF (RFC 5869) from `index.key`. */
  private purposeKey(purpose: string): Uint8Array {
    let key = this.purposes.get(purpose);
    if (!key) {
      key = Buffer.from(hkdfSync('sha256', this.root, this.origin, `rxledger/${purpose}/v1`, KEY));
      this.purposes.set(purpose, key);
    }
    return key;
  }

  /** HMAC-SHA-256 with a key per purpose (claim secrets, patients' tokens, idempotency keys). Parts may not run into each other. */
  mac(purpose: string, ...parts: string[]): Buffer {
    let data = '';
    for (const part of parts) data += `${Buffer.byteLength(part)}:${part}`;
    return nodeHasher.hmac(this.purposeKey(purpose), data);
  }

  /** Blind index: finds an encrypted value again without telling it. A key per domain. */
  blindIndex(domain: string, parts: readonly string[]): Buffer {
    return this.mac(`blind/${domain}`, ...parts);
  }

  /** The id of the KEK that wraps now. */
  get kek(): string {
    return this.newest;
  }

  /** Whether the keys folder held this KEK when it was last looked at. */
  hasKek(id: string): boolean {
    return this.keks.has(id);
  }

  /**
   * Whether that names a KEK from before the newest in the keys folder, which did not hold it when it was last looked at.
   * One that is newer than all there never was, as far as anybody knows here.
   */
  lacksKek(id: string): boolean {
    return /^\d{4}$/.test(id) && id < this.newest && !this.keks.has(id);
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
   * Wraps under the newest KEK of the folder, whoever made it: under one that is being destroyed the subject's data
   * would be lost.
   * @throws {LedgerUnavailable} when the folder cannot be read
   */
  wrapSubjectKey({ num, id, key }: SubjectKey): { kek: string; wrapped: Buffer } {
    this.followFolder();
    const kek = this.keks.get(this.newest) as Uint8Array;
    return {
      kek: this.newest,
      wrapped: encrypt(kek, this.aad('key', id, num, `subject/${this.newest}`), key),
    };
  }

  /** @throws {VaultError} when the KEK is gone or the bytes do not fit */
  unwrapSubjectKey({ num, id, kek, wrapped_key }: SubjectRow): SubjectKey {
    // Another process rotates: its KEK is in the folder, not yet in this memory.
    if (!this.keks.has(kek)) this.followFolder();
    const key = this.keks.get(kek);
    if (!key) throw new VaultError(`key-encryption key ${/^\d{4}$/.test(kek) ? kek : '(unknown)'} is not here`);
    return { num, id, key: decrypt(key, this.aad('key', id, num, `subject/${kek}`), wrapped_key) };
  }

  /** A chain's data key, to be stored wrapped by its subject's key. */
  wrapDataKey(subject: SubjectKey, chain: string, key: Uint8Array): Secret {
    return { key: subject.key, aad: this.aad('key', chain, 0, 'data'), plain: key, sealed: null };
  }

  /** @throws {VaultError} */
  unwrapDataKey(subject: SubjectKey, chain: string, wrapped: Uint8Array): Uint8Array {
    return decrypt(subject.key, this.aad('key', chain, 0, 'data'), wrapped);
  }

  /** A subject that is not in the database yet. */
  freshSubject(num: number, id: string): SubjectKey {
    return { num, id, key: freshKey() };
  }

  remember(subject: SubjectKey): SubjectKey {
    if (this.subjects.size >= CACHED_SUBJECTS) {
      const oldest = this.subjects.values().next().value;
      if (oldest) this.forget(oldest.id);
    }
    this.subjects.set(subject.num, subject);
    this.numbers.set(subject.id, subject.num);
    return subject;
  }

  /** Drops all unwrapped subject keys from memory. */
  forgetAll(): void {
    this.subjects.clear();
    this.numbers.clear();
  }

  /** Drops an unwrapped key from memory. */
  forget(subject: string): void {
    const num = this.numbers.get(subject);
    if (num !== undefined) this.subjects.delete(num);
    this.numbers.delete(subject);
  }

  forgetNumber(num: number): void {
    const subject = this.subjects.get(num);
    if (subject) this.forget(subject.id);
  }

  /** The subject of that id, if it is in memory. */
  cachedSubject(id: string): SubjectKey | undefined {
    const num = this.numbers.get(id);
    return num === undefined ? undefined : this.subjects.get(num);
  }

  /** From a row of table `subject`. @throws {VaultError} */
  subjectFromRow(row: SubjectRow): SubjectKey {
    const known = this.subjects.get(row.num);
    return known?.id === row.id ? known : this.remember(this.unwrapSubjectKey(row));
  }

  /** @throws {VaultError} when there is no such subject or its key cannot be had */
  async subjectKey(db: Db, subject: string): Promise<SubjectKey> {
    const cached = this.cachedSubject(subject);
    if (cached) return cached;
    const [row] = await db.query<SubjectRow>('SELECT num, id, kek, wrapped_key FROM subject WHERE id = ?', [subject]);
    if (!row) throw new VaultError('no such subject');
    return this.subjectFromRow(row);
  }

  /**
   * Makes a subject that no command brings (an organisation, an auditor). Call it inside `writer.side`.
   * Its number is negative, so that it never meets the numbers that the ledger gives.
   */
  async newSubject(db: Db, subject: string): Promise<SubjectKey> {
    const oldest = await holdKeks(db);
    const [row] = await db.query<{ lowest: number | null }>('SELECT min(num) AS lowest FROM subject');
    const fresh = this.freshSubject(Math.min(row?.lowest ?? 0, 0) - 1, subject);
    const { kek, wrapped } = mayWrap(this.wrapSubjectKey(fresh), oldest);
    await db.query('INSERT INTO subject (num, id, kek, wrapped_key) VALUES (?, ?, ?, ?)', [
      fresh.num,
      subject,
      kek,
      wrapped,
    ]);
    return fresh;
  }

  /** Encrypts one field of a row under its subject's key. @param row the row's id */
  seal(subject: SubjectKey, row: string, column: string, text: string): Buffer {
    return encrypt(subject.key, this.aad('field', row, 0, column), Buffer.from(text));
  }

  /** @throws {VaultError} */
  open(subject: SubjectKey, row: string, column: string, sealed: Uint8Array): string {
    return decrypt(subject.key, this.aad('field', row, 0, column), sealed).toString('utf8');
  }

  /** Makes the next KEK; from now on it wraps, in other processes of the same keys folder too. */
  addKek(): string {
    this.followFolder();
    const next = String(Number(this.newest) + 1).padStart(4, '0');
    createKey(this.dir, `kek-${next}`, KEY);
    this.loadKeks();
    return next;
  }

  /**
   * Rewraps up to `limit` subject keys under the newest KEK. Call it inside `writer.side` until it gives 0.
   * @returns how many were rewrapped
   */
  async rewrapSubjects(db: Db, limit: number): Promise<number> {
    const oldest = await holdKeks(db);
    this.followFolder();
    const rows = await db.query<SubjectRow>(
      'SELECT num, id, kek, wrapped_key FROM subject WHERE kek <> ? ORDER BY num LIMIT ?',
      [this.newest, limit],
    );
    for (const row of rows) {
      const { kek, wrapped } = mayWrap(this.wrapSubjectKey(this.unwrapSubjectKey(row)), oldest);
      await db.query('UPDATE subject SET kek = ?, wrapped_key = ? WHERE num = ?', [kek, wrapped, row.num]);
    }
    return rows.length;
  }

  /**
   * From the commit of this on no process wraps under a KEK older than the newest: a batch that was sealed before is
   * refused and sealed anew. Call it inside `writer.side`; then {@link rewrapSubjects} what came before it.
   */
  async retireOldKeks(db: Db): Promise<void> {
    this.followFolder();
    await db.query('UPDATE log_head SET oldest_kek = ? WHERE oldest_kek < ?', [this.newest, this.newest]);
  }

  /**
   * Destroys every KEK but the newest, and all copies of them in the folder whatever their names, once
   * {@link retireOldKeks} is committed: what only they wrapped is gone for good. On the disk they are gone when this
   * resolves; where it rejects, what was removed is gone there, too.
   * @returns their ids
   * @throws {VaultError} while a subject key still needs one of them, or may come to; what reading or removing a file
   *   throws
   */
  async destroyOldKeks(db: Db): Promise<string[]> {
    const oldest = await holdKeks(db);
    this.followFolder();
    if (oldest < this.newest)
      throw new VaultError('an older key-encryption key may still wrap, somebody else rotates, too: run it again');
    const [row] = await db.query<{ n: number }>('SELECT count(*) AS n FROM subject WHERE kek <> ?', [this.newest]);
    if ((row?.n ?? 0) > 0)
      throw new VaultError('subject keys are still wrapped by an older key-encryption key: run it again');
    const old = kekFiles(this.dir, this.keks).filter(({ id }) => id < this.newest);
    removeKeks(this.dir, old);
    this.loadKeks();
    return [...new Set(old.map(({ id }) => id))];
  }
}

/**
 * The oldest KEK that may wrap; until the transaction ends it stays that. Asked before the transaction locks anything
 * else, as an erasure does.
 */
async function holdKeks(db: Db): Promise<string> {
  // On SQLite the transaction has the database to itself.
  const lock = db.dialect === 'postgres' ? ' FOR SHARE' : '';
  const [row] = await db.query<{ oldest_kek: string }>(`SELECT oldest_kek FROM log_head WHERE id = 1${lock}`);
  return row?.oldest_kek ?? '';
}

/** @throws {LedgerUnavailable} when this KEK is being destroyed, and the keys folder does not show the newer one yet */
function mayWrap<T extends { kek: string }>(wrapped: T, oldest: string): T {
  if (wrapped.kek < oldest) throw new LedgerUnavailable('the keys folder lacks the newest key-encryption key', 5);
  return wrapped;
}

export function freshKey(): Uint8Array {
  return freshBytes(KEY);
}
