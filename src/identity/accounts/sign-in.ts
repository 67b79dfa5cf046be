import { Injectable } from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import type { Actor, Refusal } from '../../ledger/model.js';
import { Vault } from '../../ledger/keys/vault.js';
import { LIVING_ACCOUNT, usernameIndex } from './accounts.js';
import { passwordFits } from './passwords.js';
import { countAttempt, forgetAttempts, isUsedFrom, placeOf, rememberAddress } from './sign-in-attempts.js';

/**
 * The same answer for unknown user, wrong password, locked and disabled, so that nobody learns which accounts exist.
 */
const REFUSED: Refusal<'identity.sign-in-refused'> = { code: 'identity.sign-in-refused', facts: {} };

@Injectable()
export class SignIn {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  /**
   * Wrong passwords from an address that the account is used from count by themselves. So nobody elsewhere can lock
   * somebody out of the place where they work. From all other addresses together there are as many tries as from one.
   * A user name that no account has costs the same, in the same places.
   * @param address from which the request comes
   * @returns the account's actor; `identity.sign-in-refused` otherwise, after the same time
   * @throws {LedgerUnavailable} when the attempt cannot be counted
   */
  async check(username: string, password: string, address: string): Promise<Actor | { readonly refusal: Refusal }> {
    const name = usernameIndex(this.vault, username);
    const place = this.vault.index.mac('sign-in-address', name.toString('hex'), placeOf(address));
    const [[row], used] = await Promise.all([
      this.db.query<Actor & { password: string | null; disabled: number }>(
        `SELECT a.id, a.role, a.org, a.patient, a.password, a.disabled FROM ${LIVING_ACCOUNT} WHERE a.username_index = ?`,
        [name],
      ),
      isUsedFrom(this.db, place, this.clock.now()),
    ]);
    const attempts = used ? place : name;
    // The attempt is counted while the password is checked, not afterwards, so that simultaneous attempts all count.
    const [counted, fits] = await Promise.all([
      this.writer.side((db) => countAttempt(db, attempts, this.clock.now())),
      passwordFits(row?.password ?? null, password),
    ]);
    if (!row || !counted || !fits || row.disabled !== 0) return { refusal: REFUSED };
    await this.writer.side(async (db) => {
      await forgetAttempts(db, attempts);
      await rememberAddress(db, place, this.clock.now());
    });
    return { id: row.id, role: row.role, org: row.org, patient: row.patient };
  }
}
