import type { Db } from '../database/db.js';
import { kekIds } from './vault.js';

/**
 * Key-encryption keys that wrap subjects' keys in the database and are not in the keys folder: what they wrap does not
 * open, which is so of every backup from before `rotate-kek --destroy-old`.
 * @returns their ids, oldest first
 */
export async function missingKeks(db: Db, dir: string): Promise<string[]> {
  const named = await namedKeks(db);
  const held = new Set(kekIds(dir));
  const lacking = named.filter((id) => !held.has(id));
  if (lacking.length === 0) return [];
  // One that was destroyed between the two looks wraps nothing any more.
  const still = new Set(await namedKeks(db));
  return lacking.filter((id) => still.has(id));
}

async function namedKeks(db: Db): Promise<string[]> {
  const rows = await db.query<{ kek: string }>('SELECT DISTINCT kek FROM subject ORDER BY kek');
  return rows.map(({ kek }) => kek);
}

/** Why nothing goes on without them, for whoever runs the log. @param files names in the keys folder */
export function lackInWords(files: readonly string[]): string {
  const why = 'backups of the database from before `rotate-kek --destroy-old` open with a backup of that key alone';
  return `the keys folder lacks ${files.join(', ')}, with which the database was written${
    files.some((name) => name.startsWith('kek-')) ? ` (${why})` : ''
  }`;
}

/** @throws what `refused` makes of the reason, where one is missing */
export async function mustHoldKeks(db: Db, dir: string, refused: (reason: string) => Error): Promise<void> {
  const missing = await missingKeks(db, dir);
  if (missing.length > 0) throw refused(lackInWords(missing.map((id) => `kek-${id}`)));
}
