import type { Db } from '../../database/db.js';
import { decrypt, encrypt, freshKey, VaultError } from '../crypto/aes-gcm.js';
import { loadKey, loadOrCreateKey } from '../crypto/key-files.js';
import { KEY } from '../crypto/seal-in-place.js';
import type { Secret } from '../crypto/sealer.js';
import { BlindIndex, INDEX_KEY } from './blind-index.js';
import { kekIds } from './kek-files.js';
import { holdKeks, Keks, mayWrap } from './keks.js';
import { SubjectCache, type SubjectKey } from './subject-cache.js';

/** Part of the place that a ciphertext is bound to (design 3): moved elsewhere it cannot be opened. */
export type Purpose = 'payload' | 'state' | 'field' | 'key';

/** Table `subject`. The number is bound to the wrapped key like the id. */
export interface SubjectRow {
  num: number;
  id: string;
  kek: string;
  wrapped_key: Uint8Array;
}

/**
 * The key hierarchy of design 3: a chain's data key is wrapped by its subject's key, which is wrapped by a
 * key-encryption key.
 */
export class Vault {
  readonly keks: Keks;
  readonly index: BlindIndex;
  readonly subjects = new SubjectCache();

  /**
   * @param dir the keys folder; keys are made at first use
   * @param origin the log's first name, part of every AAD; it stays the same when the log takes another name
   */
  constructor(
    dir: string,
    readonly origin: string,
  ) {
    this.index = new BlindIndex(loadOrCreateKey(dir, INDEX_KEY, KEY), origin);
    this.keks = new Keks(dir);
  }

  /** For `verify`: makes no keys. @returns null when there are none */
  static openExisting(dir: string, origin: string): Vault | null {
    return loadKey(dir, INDEX_KEY, KEY) && kekIds(dir).length > 0 ? new Vault(dir, origin) : null;
  }

  aad(purpose: Purpose, owner: string, seq: number, column: string): string {
    return `rxledger/${purpose}/v1\n${this.origin}\n${owner}\n${seq}\n${column}`;
  }

  /**
   * Wraps under the newest KEK of the folder, even if another process made it. Under a KEK that is being destroyed, the
   * subject's data would be lost.
   * @throws {LedgerUnavailable} when the folder cannot be read
   */
  wrapSubjectKey({ num, id, key }: SubjectKey): { kek: string; wrapped: Buffer } {
    this.keks.followFolder();
    const kek = this.keks.newest;
    return { kek: kek.id, wrapped: encrypt(kek.key, this.aad('key', id, num, `subject/${kek.id}`), key) };
  }

  /** @throws {VaultError} when the KEK is gone or the bytes do not fit */
  unwrapSubjectKey({ num, id, kek, wrapped_key }: SubjectRow): SubjectKey {
    const key = this.keks.get(kek);
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

  /** Makes a subject that is not in the database yet. */
  freshSubject(num: number, id: string): SubjectKey {
    return { num, id, key: freshKey() };
  }

  /** From a row of table `subject`. @throws {VaultError} */
  subjectFromRow(row: SubjectRow): SubjectKey {
    const known = this.subjects.byNumber(row.num);
    return known?.id === row.id ? known : this.subjects.remember(this.unwrapSubjectKey(row));
  }

  /** @throws {VaultError} when there is no such subject or its key cannot be unwrapped */
  async subjectKey(db: Db, subject: string): Promise<SubjectKey> {
    const cached = this.subjects.byId(subject);
    if (cached) return cached;
    const [row] = await db.query<SubjectRow>('SELECT num, id, kek, wrapped_key FROM subject WHERE id = ?', [subject]);
    if (!row) throw new VaultError('no such subject');
    return this.subjectFromRow(row);
  }

  /**
   * Makes a subject that has no chain (an organisation, an auditor). Call it inside `writer.side`. Its number is
   * negative, so that it never collides with the ledger's numbers.
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

  /**
   * Rewraps up to `limit` subject keys under the newest KEK. Call it inside `writer.side` until it gives 0.
   * @returns how many were rewrapped
   */
  async rewrapSubjects(db: Db, limit: number): Promise<number> {
    const oldest = await holdKeks(db);
    this.keks.followFolder();
    const rows = await db.query<SubjectRow>(
      'SELECT num, id, kek, wrapped_key FROM subject WHERE kek <> ? ORDER BY num LIMIT ?',
      [this.keks.newest.id, limit],
    );
    for (const row of rows) {
      const { kek, wrapped } = mayWrap(this.wrapSubjectKey(this.unwrapSubjectKey(row)), oldest);
      await db.query('UPDATE subject SET kek = ?, wrapped_key = ? WHERE num = ?', [kek, wrapped, row.num]);
    }
    return rows.length;
  }
}
