import type { Db } from '../../database/db.js';
import type { SubjectRow, Vault } from '../keys/vault.js';
import { integer, text } from './cells.js';
import type { Findings } from './report.js';

/** Rows that are read together. */
const PAGE = 2000;
const { MIN_SAFE_INTEGER: LOWEST, MAX_SAFE_INTEGER: HIGHEST } = Number;

/** Checks that every subject's key opens, and that every subject with encrypted names has a key. */
export async function verifySubjects(db: Db, vault: Vault | null, findings: Findings): Promise<void> {
  if (vault) {
    const lacking = await verifyKeys(db, vault, findings);
    await verifyOldestKek(db, vault, lacking, findings);
  }
  // Subjects of patients are checked with their chains and may be erased. All other subjects must never disappear.
  const lacking = await db.query<{ id: unknown }>(
    `SELECT id FROM organisation WHERE id NOT IN (SELECT id FROM subject) UNION
     SELECT coalesce(org, id) FROM account WHERE patient IS NULL AND coalesce(org, id) NOT IN (SELECT id FROM subject)`,
  );
  for (const { id } of lacking) findings.add('missing', 'subject', { id: text(id) }, 'there is no such subject');
}

/** @returns ids of the key-encryption keys that are not in the keys folder */
async function verifyKeys(db: Db, vault: Vault, findings: Findings): Promise<ReadonlySet<string>> {
  const lacking = new Set<string>();
  const far = await db.query('SELECT num FROM subject WHERE num < ? OR num > ? LIMIT 50', [LOWEST, HIGHEST]);
  if (far.length > 0) findings.add('tampered', 'subject', {}, 'has a num that the writer never gives');
  for (let after = LOWEST; ;) {
    const rows = await db.query<SubjectRow>(
      'SELECT num, id, kek, wrapped_key FROM subject WHERE num > ? AND num <= ? ORDER BY num LIMIT ?',
      [after, HIGHEST, PAGE],
    );
    for (const row of rows) {
      try {
        vault.subjects.remember(vault.unwrapSubjectKey(row));
      } catch {
        const kek = text(row.kek);
        // One finding for the missing key, since the rows themselves are intact.
        if (vault.keks.lacks(kek)) lacking.add(kek);
        else findings.add('tampered', 'subject', { num: integer(row.num) }, 'its key does not open');
      }
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) break;
    after = last.num;
  }
  for (const kek of lacking)
    findings.add(
      'missing',
      'subject',
      { kek },
      'the keys folder lacks this key-encryption key: nothing under it opens',
    );
  return lacking;
}

/**
 * Checks `oldest_kek`. Older keys are destroyed after it was raised, so it must name the first key ever, or one that
 * still exists.
 */
async function verifyOldestKek(db: Db, vault: Vault, lacking: ReadonlySet<string>, findings: Findings): Promise<void> {
  const [head] = await db.query<{ oldest_kek: unknown }>('SELECT oldest_kek FROM log_head');
  const oldest = text(head?.oldest_kek);
  if (head && oldest !== '0001' && !vault.keks.has(oldest) && !lacking.has(oldest))
    findings.add('tampered', 'log_head', {}, 'oldest_kek is no key-encryption key that is there');
}
