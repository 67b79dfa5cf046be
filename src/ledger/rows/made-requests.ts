/** Table `idempotent_request`: requests that made rows which are no events. `pruneRows` deletes old ones. */
import { In } from 'typeorm';
import type { Db } from '../../database/db.js';
import { idempotentRequest } from '../../database/tables/identity-tables.js';
import type { Idempotency } from '../model.js';
import type { Vault } from '../keys/vault.js';
import { idempotencyKey, requestMac } from '../store/remembered-requests.js';

/** Replaces the MAC of a request whose outcome is erased. The request is then recognised by its key only. */
const FORGOTTEN = Buffer.alloc(0);

/** @returns the id of what was made under this key, and whether this request made it; null when the key is new */
export async function findMade(
  db: Db,
  vault: Vault,
  request: Idempotency,
): Promise<{ readonly ref: string; readonly same: boolean } | null> {
  const row = await db.table(idempotentRequest, (rows) => rows.findOneBy({ key: idempotencyKey(vault, request) }));
  return row && { ref: row.ref, same: row.request.equals(FORGOTTEN) || row.request.equals(requestMac(vault, request)) };
}

/**
 * Inside a transaction of the writer's.
 * @param now ms since 1970
 * @throws {DbError} `conflict` when the key is taken
 */
export async function rememberMade(
  db: Db,
  vault: Vault,
  request: Idempotency,
  ref: string,
  now: number,
): Promise<void> {
  await db.table(idempotentRequest, (rows) =>
    rows.insert({ key: idempotencyKey(vault, request), request: requestMac(vault, request), ref, used_at: now }),
  );
}

/**
 * Forgets the content of these requests, but not their keys, so that a repeat makes nothing a second time.
 * @param refs ids of the made rows
 * @param subject id of the erased subject, which a repeat finds instead
 */
export async function forgetMade(db: Db, refs: readonly string[], subject: string): Promise<void> {
  await db.table(idempotentRequest, (rows) => rows.update({ ref: In(refs) }, { request: FORGOTTEN, ref: subject }));
}
