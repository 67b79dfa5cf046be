import { INDEX_KEY } from './blind-index.js';
import type { Db } from '../../database/db.js';
import { kekIds } from './kek-files.js';
import { loadKey } from '../crypto/key-files.js';

/**
 * Key files that the database was written with and that the keys folder lacks. Without them nothing encrypted opens,
 * and names are not found again. This happens with every backup from before `keys rotate-encryption --destroy-old`.
 * @returns their names, `index.key` first; empty for a database without data
 * @throws {KeyFileError} when `index.key` cannot be used; DbError
 */
export async function missingKeys(db: Db, dir: string): Promise<string[]> {
  const [any] = await db.query('SELECT 1 AS n FROM log_head WHERE size > 0 UNION ALL SELECT 1 FROM subject LIMIT 1');
  const missing = any && loadKey(dir, INDEX_KEY) === null ? [INDEX_KEY] : [];
  for (const id of await missingKeks(db, dir)) missing.push(`kek-${/^\d{4}$/.test(id) ? id : '(unknown)'}`);
  return [...new Set(missing)];
}

/** @returns ids of key-encryption keys that wrap subjects' keys in the database and are not in the keys folder, oldest first */
async function missingKeks(db: Db, dir: string): Promise<string[]> {
  const named = await namedKeks(db);
  const held = new Set(heldKeks(dir));
  const lacking = named.filter((id) => !held.has(id));
  if (lacking.length === 0) return [];
  // A key that was destroyed between the two reads wraps nothing any more.
  const still = new Set(await namedKeks(db));
  return lacking.filter((id) => still.has(id));
}

/** Ids of the key-encryption keys in the folder; empty when there is no folder. */
function heldKeks(dir: string): string[] {
  try {
    return kekIds(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function namedKeks(db: Db): Promise<string[]> {
  const rows = await db.query<{ kek: string }>('SELECT DISTINCT kek FROM subject ORDER BY kek');
  return rows.map(({ kek }) => kek);
}

/** In words: which files are missing where. @param files names in the keys folder */
export function lackOf(files: readonly string[], folder?: string): string {
  const where = folder === undefined ? 'the keys folder' : `the keys folder ${folder}`;
  return `${where} lacks ${files.join(', ')}, with which the database was written`;
}

/** Why the service does not start without them, for the operator. */
function lackInWords(files: readonly string[]): string {
  const destroyed = files.some((name) => name.startsWith('kek-'))
    ? ' (a database from before `keys rotate-encryption --destroy-old` needs the key-encryption keys of that time)'
    : '';
  return `${lackOf(files)}: nothing starts until that is put back from a backup of the keys folder, and what it protects is lost for good where there is none${destroyed}`;
}

/**
 * Must run before keys are made. New keys beside data that other keys encrypted or hashed would hide existing names, so
 * that they could be given twice.
 * @throws the error that `refused` makes of the reason, when a key is missing
 */
export async function mustHoldKeys(db: Db, dir: string, refused: (reason: string) => Error): Promise<void> {
  const missing = await missingKeys(db, dir);
  if (missing.length > 0) throw refused(lackInWords(missing));
}
