import { type Db, DbError } from '../../database/db.js';
import type { Vault } from '../keys/vault.js';
import { bytes, text } from './cells.js';
import type { Findings } from './report.js';

/** Checks that every account without a password has public keys, sealed for that account. Machine accounts are few. */
export async function verifyClients(db: Db, vault: Vault | null, findings: Findings): Promise<void> {
  const lacking = await db.query<{ id: unknown }>(
    `SELECT a.id FROM account a WHERE a.password IS NULL AND NOT EXISTS (SELECT 1 FROM client c WHERE c.id = a.id)`,
  );
  for (const { id } of lacking)
    findings.add('missing', 'client', { id: text(id) }, 'there are no keys of this account');
  const rows = await db.query<{ id: unknown; account: unknown; subject: unknown; kek: unknown; keys: unknown }>(
    `SELECT c.id, a.id AS account, coalesce(a.org, a.id) AS subject, s.kek, c.keys
     FROM client c LEFT JOIN account a ON a.id = c.id AND a.password IS NULL
     LEFT JOIN subject s ON s.id = coalesce(a.org, a.id) ORDER BY c.id`,
  );
  for (const row of rows) {
    const id = text(row.id);
    if (row.account === null) findings.add('tampered', 'client', { id }, 'there is no such account of a machine');
    // A missing key-encryption key is already a finding.
    else if (
      vault &&
      !vault.keks.lacks(text(row.kek)) &&
      !(await opens(db, vault, text(row.subject), id, bytes(row.keys)))
    )
      findings.add('tampered', 'client', { id }, 'its keys are not those that were stored');
  }
}

async function opens(db: Db, vault: Vault, subject: string, id: string, keys: Buffer): Promise<boolean> {
  try {
    vault.open(await vault.subjectKey(db, subject), id, 'keys', keys);
    return true;
  } catch (error) {
    if (error instanceof DbError) throw error;
    return false;
  }
}
