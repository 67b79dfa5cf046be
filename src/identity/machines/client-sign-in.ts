import { ReadDb } from '../../ledger/read/read-db.js';
import { Injectable } from '@nestjs/common';
import { LessThanOrEqual } from 'typeorm';
import { usedAssertion } from '../../database/tables/identity-tables.js';
import { Clock } from '../../time/clock.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { Actor, Refusal } from '../../ledger/model.js';
import { Vault } from '../../ledger/keys/vault.js';
import { LIVING_ACCOUNT } from '../accounts/accounts.js';
import { type AssertionFault, checkAssertion, claimedClient, SKEW_SECONDS } from './client-assertion.js';
import { openKeys } from './clients.js';
import { sideJob } from '../once.js';

/**
 * How long a used assertion is remembered beyond its end, ms. By then every process refuses it for its age, even one
 * whose clock is behind. Beyond 5 minutes such a process cannot write.
 */
const KEPT_LONGER_MS = SKEW_SECONDS * 1000 + 5 * 60_000;

/** Only shown to whoever has proved to hold the key. */
const DESCRIPTIONS: Readonly<Record<Exclude<AssertionFault, 'unproven'>, string>> = {
  typ: 'typ is that of another kind of JWT',
  iss: 'iss must be the client id',
  sub: 'sub must be the client id',
  aud: 'aud must be the public address of this endpoint, alone',
  exp: 'exp must lie ahead, by 5 minutes at most',
  nbf: 'nbf lies ahead',
  iat: 'iat must be a time that does not lie ahead',
  jti: 'jti must be 1 to 255 characters',
  used: 'the assertion was used already: make one for each request',
};

/** The same answer for an unknown or disabled client, a wrong key and a malformed assertion. */
function refused(fault: AssertionFault = 'unproven'): { refusal: Refusal<'identity.client-refused'> } {
  const facts: Record<string, string> = fault === 'unproven' ? {} : { error_description: DESCRIPTIONS[fault] };
  return { refusal: { code: 'identity.client-refused', facts } };
}

@Injectable()
export class ClientSignIn {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly vault: Vault,
    private readonly clock: Clock,
  ) {}

  /**
   * Accepts an assertion once. Its use is durable before this returns, so no other process accepts it, not even after a
   * restart. Client ids are random, so the response time does not help to find one.
   * @param clientId the client that the request names (RFC 7521 section 4.2)
   * @param audiences the accepted audiences
   * @returns the client's actor; `identity.client-refused` otherwise
   */
  async check(
    assertion: string | undefined,
    clientId: string | undefined,
    audiences: readonly string[],
  ): Promise<Actor | { readonly refusal: Refusal }> {
    const client = assertion === undefined ? null : claimedClient(assertion);
    if (assertion === undefined || client === null || (clientId ?? client) !== client) return refused();
    const { db } = this;
    const [row] = await db.query<Actor & { keys: Buffer }>(
      `SELECT a.id, a.role, a.org, a.patient, c.keys FROM ${LIVING_ACCOUNT} JOIN client c ON c.id = a.id
       WHERE a.id = ? AND a.disabled = 0`,
      [client],
    );
    if (!row) return refused();
    const { id, role, org, patient } = row;
    const now = this.clock.now();
    const checked = await checkAssertion(assertion, {
      client,
      keys: await openKeys(db, this.vault, row),
      audiences,
      now,
    });
    if ('fault' in checked) return refused(checked.fault);
    const first = await this.useOnce(client, checked.jti, checked.expiresAt + KEPT_LONGER_MS);
    return first ? { id, role, org, patient } : refused('used');
  }

  /** @returns false when an assertion of that client with that `jti` was used already */
  private useOnce(client: string, jti: string, keptUntil: number): Promise<boolean> {
    const id = this.vault.index.mac('client-assertion', client, jti);
    return sideJob(this.writer, async (db) => {
      await db.table(usedAssertion, (rows) => rows.delete({ kept_until: LessThanOrEqual(this.clock.now()) }));
      if (await db.table(usedAssertion, (rows) => rows.existsBy({ id }))) return false;
      await db.table(usedAssertion, (rows) => rows.insert({ id, kept_until: Math.ceil(keptUntil) }));
      return true;
    });
  }
}
