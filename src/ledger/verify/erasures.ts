import type { Db } from '../../database/db.js';
import { integer, text } from './cells.js';
import type { Findings } from './report.js';

/** Entry `e` ends chain `c`, which is erased. */
const ENDED = 'entry e JOIN chain c ON c.num = e.chain AND e.seq = c.seq WHERE length(c.data_key) = 0';

/** What the database remembers of erasures is what the chains say: what it forgets would not be filed after a crash. */
export async function verifyErasures(db: Db, findings: Findings): Promise<void> {
  const wrong = (id: unknown, what: string): void => findings.add('tampered', 'erasure', { id: text(id) }, what);
  const back = await db.query<{ subject: unknown }>(
    'SELECT subject FROM erasure WHERE subject IN (SELECT id FROM subject)',
  );
  for (const { subject } of back) wrong(subject, 'is of a subject that is there');
  const odd = await db.query<{ subject: unknown }>(
    `SELECT subject FROM erasure r
     WHERE r.count < 1 OR r.count <> (SELECT count(*) FROM ${ENDED} AND e.idx >= r.first AND e.idx < r.first + r.count)`,
  );
  for (const { subject } of odd) wrong(subject, 'names entries that ended no chain');
  const lacking = await db.query<{ idx: unknown }>(
    `SELECT e.idx FROM ${ENDED} AND NOT EXISTS
       (SELECT 1 FROM erasure r WHERE r.first <= e.idx AND e.idx < r.first + r.count)`,
  );
  for (const { idx } of lacking) findings.add('missing', 'erasure', { index: integer(idx) }, 'is not remembered');
  const left = await db.query<{ id: unknown }>(
    'SELECT id FROM account WHERE patient IS NOT NULL AND patient NOT IN (SELECT id FROM subject)',
  );
  for (const { id } of left)
    findings.add('tampered', 'account', { id: text(id) }, 'is there after its patient was erased');
}
