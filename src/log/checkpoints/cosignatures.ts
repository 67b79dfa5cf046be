import { type Db, placeholders } from '../../database/db.js';
import { cosignature, witnessContact } from '../../database/tables/log-tables.js';
import { ALARMS, type WitnessFailure } from './witness-client.js';

/** A witness's signature line under the published checkpoint of that size; it was verified before it was stored. */
export interface Cosignature {
  readonly size: number;
  /** The witness's verifier key. */
  readonly witness: string;
  /** Without its newline. */
  readonly line: string;
}

/** How a witness answered last. Instants are ms since 1970. */
export interface WitnessContact {
  readonly witness: string;
  /** Size of the largest tree that it has cosigned for us; null: none. */
  readonly size: number | null;
  /** When it last gave a proper answer, even a refusal; null: never. */
  readonly contactAt: number | null;
  /** Null when its last answer was a cosignature. */
  readonly failure: WitnessFailure | null;
  readonly failedAt: number | null;
}

/** SQL, since it joins two tables. @param vkeys at least one */
export function readContacts(db: Db, vkeys: readonly string[]): Promise<WitnessContact[]> {
  return db.query<WitnessContact>(
    `SELECT c.witness, (SELECT max(s.size) FROM cosignature s WHERE s.witness = c.witness) AS size,
       c.contact_at AS "contactAt", c.failure, c.failed_at AS "failedAt"
     FROM witness_contact c WHERE c.witness IN ${placeholders(vkeys)}`,
    vkeys,
  );
}

/**
 * Cosignatures of these witnesses for sizes from `from` to `to`, the largest first. SQL: `/log/checkpoint` asks it at each
 * request, and a repository takes 0.1 ms longer.
 */
export function readCosignatures(
  db: Db,
  vkeys: readonly string[],
  from: number,
  to: number,
  limit = Number.MAX_SAFE_INTEGER,
): Promise<Cosignature[]> {
  return db.query<Cosignature & object>(
    `SELECT size, witness, line FROM cosignature WHERE size >= ? AND size <= ? AND witness IN ${placeholders(vkeys)}
     ORDER BY size DESC LIMIT ?`,
    [from, to, ...vkeys, limit],
  );
}

/** Stores a cosignature, once, and that the witness is well. For the writer's side jobs. */
export async function storeCosignature(db: Db, { size, witness, line }: Cosignature, now: number): Promise<void> {
  await db.table(cosignature, (rows) =>
    rows.createQueryBuilder().insert().values({ size, witness, line }).orIgnore().execute(),
  );
  await db.table(witnessContact, (rows) => rows.upsert({ witness, contact_at: now, failure: null }, ['witness']));
}

/**
 * Stores why the witness gave none. For the writer's side jobs. A failure that shows another cosigned tree stays until
 * the witness cosigns this one. Otherwise whoever forked the log could make the sign disappear by blocking the witness.
 * Uses SQL, so that no other process can interfere between reading and updating the row.
 */
export async function storeFailure(db: Db, witness: string, failure: WitnessFailure, now: number): Promise<void> {
  const answered = failure !== 'unreachable' && failure !== 'timeout';
  await db.query(
    `INSERT INTO witness_contact (witness, contact_at, failure, failed_at) VALUES (?, ?, ?, ?)
     ON CONFLICT (witness) DO UPDATE SET
       contact_at = coalesce(excluded.contact_at, witness_contact.contact_at),
       failure = CASE WHEN witness_contact.failure IN ${placeholders(ALARMS)} AND excluded.failure NOT IN ${placeholders(ALARMS)}
         THEN witness_contact.failure ELSE excluded.failure END,
       failed_at = excluded.failed_at`,
    [witness, answered ? now : null, failure, now, ...ALARMS, ...ALARMS],
  );
}
