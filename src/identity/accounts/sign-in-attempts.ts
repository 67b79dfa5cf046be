/** Tables `sign_in_attempt` and `sign_in_address`: wrong passwords, and the addresses that an account is used from. */
import { isIPv6 } from 'node:net';
import type { Db } from '../../database/db.js';
import { signInAddress, signInAttempt } from '../../database/tables/identity-tables.js';
import type { LedgerWriter } from '../../ledger/ledger.writer.js';
import { pruneRows } from '../../ledger/upkeep/prune-rows.js';

/** Wrong passwords in a row after which sign-in is locked. */
export const FREE_FAILURES = 5;
/** The first lock; each further failure doubles it. */
export const FIRST_LOCK_MS = 30_000;
/** The longest lock: guessing stays hopeless, but nobody can lock an account for good. */
export const LONGEST_LOCK_MS = 15 * 60_000;
/** How long wrong passwords are remembered after the last one. */
export const ATTEMPTS_LIFE_MS = 24 * 60 * 60_000;
/** How long an address counts as one from which the account is used. */
export const ADDRESS_LIFE_MS = 30 * 24 * 60 * 60_000;
/** Most user names whose wrong passwords are remembered: names that nobody has must not fill the disk. */
const MOST_ATTEMPTS = 100_000;

/** @returns how long sign-in is locked after this many failures in a row, in ms */
export function lockMilliseconds(failed: number): number {
  if (failed < FREE_FAILURES) return 0;
  return Math.min(FIRST_LOCK_MS * 2 ** (failed - FREE_FAILURES), LONGEST_LOCK_MS);
}

/**
 * Counts an attempt as a failure until it has succeeded. For the writer's side jobs.
 * @param now ms since 1970
 * @returns false while sign-in is locked
 */
export async function countAttempt(db: Db, key: Buffer, now: number): Promise<boolean> {
  const none = { failed: 0, locked_until: null, last_at: now };
  await db.table(signInAttempt, (rows) =>
    rows
      .createQueryBuilder()
      .insert()
      .values({ key, ...none })
      .orIgnore()
      .execute(),
  );
  // Attempts in other processes wait for this one. SQLite has only one writer anyway. SQL, since TypeORM locks only in
  // transactions that it began itself.
  const [row] = await db.query<{ failed: number; locked_until: number | null; last_at: number }>(
    `SELECT failed, locked_until, last_at FROM sign_in_attempt WHERE key = ?${db.dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
    [key],
  );
  const { failed, locked_until } = row && row.last_at > now - ATTEMPTS_LIFE_MS ? row : none;
  if (locked_until !== null && locked_until > now) return false;
  const locked = lockMilliseconds(failed + 1);
  await db.table(signInAttempt, (rows) =>
    rows.update({ key }, { failed: failed + 1, locked_until: locked > 0 ? now + locked : null, last_at: now }),
  );
  return true;
}

/** Forgets wrong passwords: the right one was given, or the password was replaced. For the writer's side jobs. */
export async function forgetAttempts(db: Db, key: Buffer): Promise<void> {
  await db.table(signInAttempt, (rows) => rows.delete({ key }));
}

/** @returns whether the account was used from this address within {@link ADDRESS_LIFE_MS} */
export async function isUsedFrom(db: Db, key: Buffer, now: number): Promise<boolean> {
  const row = await db.table(signInAddress, (rows) => rows.findOneBy({ key }));
  return row !== null && row.last_at > now - ADDRESS_LIFE_MS;
}

/** For the writer's side jobs. */
export async function rememberAddress(db: Db, key: Buffer, now: number): Promise<void> {
  await db.table(signInAddress, (rows) => rows.upsert({ key, last_at: now }, ['key']));
}

/** Forgets what is too old to count, and the oldest attempts where there are too many. @throws on outage */
export async function pruneAttempts(writer: LedgerWriter, db: Db, now: number): Promise<void> {
  await pruneRows(writer, 'sign_in_address', 'last_at', now - ADDRESS_LIFE_MS);
  const [surplus] = await db.table(signInAttempt, (rows) =>
    rows.find({ select: { last_at: true }, order: { last_at: 'DESC' }, skip: MOST_ATTEMPTS, take: 1 }),
  );
  await pruneRows(writer, 'sign_in_attempt', 'last_at', Math.max(now - ATTEMPTS_LIFE_MS, (surplus?.last_at ?? -1) + 1));
}

/**
 * What of an address names whoever is there: all of IPv4, also where IPv6 maps it; of IPv6 the first 64 bits, since one
 * household or device has all the rest.
 */
export function placeOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.toLowerCase().replace(/%.*$/, '').split('::');
  const first = groupsOf(head);
  const zeros = tail === undefined ? 0 : 8 - first.length - groupsOf(tail).length;
  return [...first, ...Array.from({ length: zeros }, () => '0')]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

const groupsOf = (part: string): string[] => part.split(':').filter((group) => group !== '');
