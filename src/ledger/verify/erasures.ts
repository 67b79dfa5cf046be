import type { Db } from '../../database/db.js';
import { integer, text } from './cells.js';
import type { Findings } from './report.js';

/** Entry `e` ends chain `c`, which is erased. */
const ENDED = 'entry e JOIN chain c ON c.num = e.chain AND e.seq = c.seq WHERE length(c.data_key) = 0';

/**
 * Checks that the table of erasures agrees with the chains. An erasure missing there would not reach the file of erased
 * subjects after a crash.
 */
export async function verifyErasures(db: Db, findings: Findings): Promise<void> {
  const wrong = (id: unknown, what: string): void => findings.add('tampered', 'erasure', { id: text(id) }, what);
  const back = await db.query<{ subject: unknown }>(
    'SELECT e.subject FROM erasure e JOIN subject s ON s.id = e.subject',
  );
  for (const { subject } of back) wrong(subject, 'is of a subject that is there');
  const odd = await db.query<{ subject: unknown }>(
    `SELECT subject FROM erasure r
     WHERE r.count < 1 OR r.count <> (SELECT count(*) FROM ${ENDED} AND e.idx >= r.first AND e.idx < r.first + r.count)`,
  );
  for (const { subject } of odd) wrong(subject, 'names entries that ended no chain');
  const lacking = await db.query<{ idx: unknown }>(
    // Erasures do not overlap, so only the last one that begins before an entry can contain it.
    `SELECT e.idx FROM ${ENDED} AND e.idx >= coalesce(
       (SELECT r.first + r.count FROM erasure r WHERE r.first <= e.idx ORDER BY r.first DESC LIMIT 1), -1)`,
  );
  for (const { idx } of lacking) findings.add('missing', 'erasure', { index: integer(idx) }, 'is not remembered');
  const left = await db.query<{ id: unknown }>(
    `SELECT a.id FROM account a WHERE a.patient IS NOT NULL AND NOT EXISTS (SELECT 1 FROM subject s WHERE s.id = a.patient)`,
  );
  for (const { id } of left)
    findings.add('tampered', 'account', { id: text(id) }, 'is there after its patient was erased');
}
