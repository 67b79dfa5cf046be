import type { SubjectKey } from '../../ledger/keys/subject-cache.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import type { Db } from '../../database/db.js';
import { holdErasures } from '../../ledger/commit/erasure-batch.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { Idempotency } from '../../ledger/model.js';
import { Vault } from '../../ledger/keys/vault.js';
import { type Made, once, sideJob } from '../once.js';
import { hashPassword } from './passwords.js';
import { forgetAttempts } from './sign-in-attempts.js';
import type { Account, Holder, NewAccount } from '../people.js';

/** Accounts that still have a subject key. The accounts of an erased patient are gone. `a` is the account. */
export const LIVING_ACCOUNT = 'account a JOIN subject s ON s.id = coalesce(a.org, a.patient, a.id)';

interface AccountRow {
  id: string;
  username: Buffer;
  name: Buffer;
  role: Account['role'];
  org: string | null;
  patient: string | null;
  disabled: number;
  num: number;
  subject: string;
  kek: string;
  wrapped_key: Uint8Array;
}

/** An account to store, with its password hashed; null: nobody can sign in to it by password. */
export interface AccountToStore {
  readonly id: string;
  readonly account: Holder;
  readonly password: string | null;
  readonly demo: boolean;
}

/**
 * Accounts that may sign in. Names are encrypted under the subject key of the organisation, the patient or the account
 * itself.
 */
@Injectable()
export class Accounts {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  async create(account: NewAccount, request?: Idempotency): Promise<Made> {
    const stored = { id: randomUUID(), account, password: await hashPassword(account.password), demo: false };
    const now = this.clock.now();
    return sideJob(this.writer, (db) =>
      once(db, this.vault, request, now, () => insertAccount(db, this.vault, stored, now)),
    );
  }

  /** Ends an account: it cannot sign in, and its tokens stop within half a minute. Twice is as good as once. */
  disable(id: string, request?: Idempotency): Promise<Made> {
    return this.change(id, request, 'disabled = 1');
  }

  /** Lifts {@link disable}. Twice is as good as once. */
  enable(id: string): Promise<Made> {
    return this.change(id, undefined, 'disabled = 0');
  }

  /**
   * Replaces a person's password and ends the lock after failed sign-ins. Tokens already issued expire by themselves.
   */
  async resetPassword(id: string, password: string): Promise<Made> {
    const hashed = await hashPassword(password);
    return this.change(id, undefined, 'password = ?', [hashed], forgetAttempts);
  }

  private change(
    id: string,
    request: Idempotency | undefined,
    set: string,
    values: string[] = [],
    also: (db: Db, usernameIndex: Buffer) => Promise<void> = () => Promise.resolve(),
  ): Promise<Made> {
    return sideJob(this.writer, (db) =>
      once(db, this.vault, request, this.clock.now(), async () => {
        const [known] = await db.query<{ username_index: Buffer }>(
          `SELECT a.username_index FROM ${LIVING_ACCOUNT} WHERE a.id = ?`,
          [id],
        );
        if (!known) return { refusal: { code: 'identity.account-unknown', facts: {} } };
        await db.query(`UPDATE account SET ${set} WHERE id = ?`, [...values, id]);
        await also(db, known.username_index);
        return { ref: id };
      }),
    );
  }

  async find(id: string): Promise<Account | null> {
    const [found] = await this.select('a.id = ?', [id]);
    return found ?? null;
  }

  /** A person's account by user name; never a machine's. */
  async byUsername(username: string): Promise<Account | null> {
    const [found] = await this.select('a.username_index = ? AND a.password IS NOT NULL', [
      usernameIndex(this.vault, username.toLowerCase()),
    ]);
    return found ?? null;
  }

  /** People's accounts, including disabled ones, by id. @param after the last id of the previous page */
  list(after: string | null, limit: number): Promise<Account[]> {
    return this.select('a.id > ? AND a.password IS NOT NULL ORDER BY a.id LIMIT ?', [after ?? '', limit]);
  }

  private async select(where: string, values: (string | number | Buffer)[]): Promise<Account[]> {
    // Reads the subject key in the same statement: a patient erased between two statements would have none.
    const rows = await this.db.query<AccountRow>(
      `SELECT a.id, a.username, a.name, a.role, a.org, a.patient, a.disabled, s.num, s.id AS subject, s.kek, s.wrapped_key
       FROM ${LIVING_ACCOUNT} WHERE ${where}`,
      values,
    );
    return rows.map(({ num, subject, kek, wrapped_key, ...account }) => {
      // A key unwrapped here is not cached, so that no erased patient's key stays in memory.
      const key =
        this.vault.subjects.byId(subject) ?? this.vault.unwrapSubjectKey({ num, id: subject, kek, wrapped_key });
      return {
        ...account,
        username: this.vault.open(key, account.id, 'username', account.username),
        name: this.vault.open(key, account.id, 'name', account.name),
        disabled: account.disabled !== 0,
      };
    });
  }

  async isActive(id: string): Promise<boolean> {
    const [row] = await this.db.query<{ disabled: number }>(`SELECT a.disabled FROM ${LIVING_ACCOUNT} WHERE a.id = ?`, [
      id,
    ]);
    return row?.disabled === 0;
  }
}

/** The blind index by which an account is found. */
export function usernameIndex(vault: Vault, username: string): Buffer {
  return vault.index.of('username', [username]);
}

/**
 * Stores an account. Call it inside `writer.side`.
 * @returns its id, or `identity.username-taken`, `-organisation-unknown`, `-organisation-kind`, `-patient-unknown`
 */
export async function insertAccount(
  db: Db,
  vault: Vault,
  { id, account, password, demo }: AccountToStore,
  now: number,
): Promise<Made> {
  const index = usernameIndex(vault, account.username);
  const [taken] = await db.query('SELECT id FROM account WHERE username_index = ?', [index]);
  if (taken) return { refusal: { code: 'identity.username-taken', facts: {} } };
  const key = await subjectOf(db, vault, id, account);
  if ('refusal' in key) return key;
  await db.query(
    `INSERT INTO account (id, username_index, username, name, role, org, patient, password, disabled, demo, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
    [
      id,
      index,
      vault.seal(key, id, 'username', account.username),
      vault.seal(key, id, 'name', account.name),
      account.role,
      'org' in account ? account.org : null,
      'patient' in account ? account.patient : null,
      password,
      demo ? 1 : 0,
      now,
    ],
  );
  return { ref: id };
}

/** The subject whose key encrypts the account's names: its organisation, its patient, or the account itself. */
async function subjectOf(
  db: Db,
  vault: Vault,
  id: string,
  account: Holder,
): Promise<SubjectKey | Extract<Made, { refusal: unknown }>> {
  if ('org' in account) {
    const [org] = await db.query<{ kind: string }>('SELECT kind FROM organisation WHERE id = ?', [account.org]);
    if (!org) return { refusal: { code: 'identity.organisation-unknown', facts: {} } };
    const needed = account.role === 'prescriber' ? 'practice' : 'pharmacy';
    if (org.kind !== needed) return { refusal: { code: 'identity.organisation-kind', facts: { needed } } };
    return vault.subjectKey(db, account.org);
  }
  if ('patient' in account) {
    await holdErasures(db);
    const [living] = await db.query(
      "SELECT s.num FROM subject s JOIN chain c ON c.id = s.id WHERE s.id = ? AND c.kind = 'patient'",
      [account.patient],
    );
    if (!living) return { refusal: { code: 'identity.patient-unknown', facts: {} } };
    return vault.subjectKey(db, account.patient);
  }
  return vault.newSubject(db, id);
}
