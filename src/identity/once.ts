import { type Db, DbError } from '../database/db.js';
import { RefusalException } from '../http/problem/problem.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Idempotency, Refusal } from '../ledger/model.js';
import type { Vault } from '../ledger/keys/vault.js';
import { findMade, rememberMade } from '../ledger/rows/made-requests.js';

/** What a job made, by its id; or why it made nothing. */
export type Made = { readonly ref: string } | { readonly refusal: Refusal };

/** @returns the id of what was made; @throws {RefusalException} */
export function refOf(result: Made): string {
  if ('refusal' in result) throw new RefusalException(result.refusal);
  return result.ref;
}

/**
 * Carries out a request that makes rows which are no events, once per `Idempotency-Key`. Call it inside
 * `writer.side`: one transaction holds the rows and the memory of the request. A refusal is not remembered.
 * @param now ms since 1970
 * @param make makes the rows and gives the id by which the answer is found again
 * @returns what was made now or by the same request before; `idempotency.key-reused` for another request
 */
export async function once(
  db: Db,
  vault: Vault,
  request: Idempotency | undefined,
  now: number,
  make: () => Promise<Made>,
): Promise<Made> {
  if (!request) return make();
  const known = await recall(db, vault, request);
  if (known) return known;
  const made = await make();
  if ('ref' in made) await rememberMade(db, vault, request, made.ref, now);
  return made;
}

/** @returns what the same request made before, or `idempotency.key-reused`; null when the key is new */
export async function recall(db: Db, vault: Vault, request: Idempotency): Promise<Made | null> {
  const made = await findMade(db, vault, request);
  if (!made) return null;
  return made.same ? { ref: made.ref } : { refusal: { code: 'idempotency.key-reused', facts: {} } };
}

/** Processes that make rows at the same moment may take a key from each other; the next look sees what they took. */
const ATTEMPTS = 5;

/** `writer.side` for a job that looks before it inserts: run again when another process inserted in between. */
export async function sideJob<T>(writer: LedgerWriter, job: (db: Db) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await writer.side(job);
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof DbError && error.fault === 'conflict')) throw error;
    }
  }
}
