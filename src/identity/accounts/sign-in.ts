import { Injectable } from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import type { Actor, Refusal } from '../../ledger/model.js';
import { Vault } from '../../ledger/keys/vault.js';
import { LIVING_ACCOUNT, usernameIndex } from './accounts.js';
import { passwordFits } from './passwords.js';

/** Wrong passwords in a row after which the account is locked. */
export const FREE_FAILURES = 5;
/** The first lock; each further failure doubles it. */
export const FIRST_LOCK_MS = 30_000;
/** The longest lock: guessing stays hopeless, but nobody can lock an account for good. */
export const LONGEST_LOCK_MS = 15 * 60_000;

/**
 * The same answer for unknown user, wrong password, locked and disabled, so that nobody learns which accounts exist.
 */
const REFUSED: Refusal<'identity.sign-in-refused'> = { code: 'identity.sign-in-refused', facts: {} };

/** @returns how long an account is locked, in ms, once it has failed this often in a row */
export function lockMilliseconds(failed: number): number {
  if (failed < FREE_FAILURES) return 0;
  return Math.min(FIRST_LOCK_MS * 2 ** (failed - FREE_FAILURES), LONGEST_LOCK_MS);
}

@Injectable()
export class SignIn {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  /** @returns the account's actor; `identity.sign-in-refused` otherwise, after the same time */
  async check(username: string, password: string): Promise<Actor | { readonly refusal: Refusal }> {
    const [row] = await this.db.query<Actor & { password: string | null; disabled: number }>(
      `SELECT a.id, a.role, a.org, a.patient, a.password, a.disabled FROM ${LIVING_ACCOUNT} WHERE a.username_index = ?`,
      [usernameIndex(this.vault, username)],
    );
    // The attempt is counted while the password is checked, not afterwards, so that simultaneous attempts all count.
    const [counted, fits] = await Promise.all([
      row ? this.count(row.id) : false,
      passwordFits(row?.password ?? null, password),
    ]);
    if (!row || !counted || !fits || row.disabled !== 0) return { refusal: REFUSED };
    await this.writer.side((db) =>
      db.query('UPDATE account SET failed = 0, locked_until = NULL WHERE id = ?', [row.id]),
    );
    return { id: row.id, role: row.role, org: row.org, patient: row.patient };
  }

  /** Counts the attempt as a failure until it has succeeded. @returns false while the account is locked */
  private count(id: string): Promise<boolean> {
    return this.writer.side(async (db) => {
      const now = this.clock.now();
      const [row] = await db.query<{ failed: number; locked_until: number | null }>(
        // Sign-ins to the same account in other processes wait for this one. SQLite has only one writer anyway.
        `SELECT failed, locked_until FROM account WHERE id = ?${db.dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
        [id],
      );
      if (!row || (row.locked_until !== null && row.locked_until > now)) return false;
      const failed = row.failed + 1;
      const lock = lockMilliseconds(failed);
      await db.query('UPDATE account SET failed = ?, locked_until = ? WHERE id = ?', [
        failed,
        lock > 0 ? now + lock : null,
        id,
      ]);
      return true;
    });
  }
}
