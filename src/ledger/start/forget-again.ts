import { type Db, placeholders } from '../../database/db.js';
import type { IdFile } from '../store/id-file.js';
import { erasureOf } from '../commit/erasure-batch.js';
import type { LedgerWriter } from '../ledger.writer.js';
import { SYSTEM } from '../model.js';

/** Ids in one query. */
const PAGE = 500;

/** Reason of an erasure that the service repeats. */
const RESTORED = 'restored';

/**
 * Runs at every start, before anything is served. Patients whom a restored backup brought back are erased again. An
 * erasure that was committed without its line in the file, because the process died in between, gets that line.
 * @returns how many were erased again
 * @throws {LedgerUnavailable} as {@link LedgerWriter.erase} does
 */
export async function forgetAgain(db: Db, file: IdFile, writer: LedgerWriter): Promise<number> {
  const filed = await file.read();
  const erased = [...filed];
  const living = new Set<string>();
  for (let at = 0; at < erased.length; at += PAGE) {
    const page = erased.slice(at, at + PAGE);
    const ids = placeholders(page);
    const rows = await db.query<{ id: string }>(
      // The chain became the erased patient's only later. Until then it was nobody's, or that of a patient who lives.
      `SELECT id FROM subject WHERE id IN ${ids} UNION
       SELECT s.id FROM chain c JOIN subject s ON s.num = c.subject WHERE c.id IN ${ids} AND length(c.data_key) > 0
         AND NOT EXISTS (SELECT 1 FROM patient_row r JOIN chain p ON p.num = r.chain WHERE p.id = s.id)`,
      [...page, ...page],
    );
    for (const { id } of rows) living.add(id);
  }
  for (const subject of living) await writer.erase(subject, SYSTEM, { reason: RESTORED });
  const known = await db.query<{ subject: string }>(
    // A planted row about a living patient would have them erased at the next start. Only what `erase` wrote counts.
    'SELECT e.subject FROM erasure e WHERE NOT EXISTS (SELECT 1 FROM subject s WHERE s.id = e.subject)',
  );
  for (const { subject } of known) if (!filed.has(subject)) await file.add((await erasureOf(db, subject)).ids);
  return living.size;
}
