import { type Db, placeholders } from '../database/db.js';
import type { ErasedFile } from './erased-file.js';
import type { LedgerWriter } from './ledger.writer.js';
import { SYSTEM } from './model.js';

/** Ids that are looked for together. */
const PAGE = 500;

/** Reason of an erasure that the service makes again. */
const RESTORED = 'restored';

/**
 * At every start, before anything is served: who was erased and lives again, in a backup that was restored, is erased
 * again; and whose erasure was committed without a line in the file, by a process that died in between, gets one.
 * @returns how many were erased again
 * @throws {LedgerUnavailable} what {@link LedgerWriter.erase} throws
 */
export async function forgetAgain(db: Db, file: ErasedFile, writer: LedgerWriter): Promise<number> {
  const erased = [...(await file.read())];
  const living: string[] = [];
  for (let at = 0; at < erased.length; at += PAGE) {
    const page = erased.slice(at, at + PAGE);
    const rows = await db.query<{ id: string }>(`SELECT id FROM subject WHERE id IN ${placeholders(page)}`, page);
    living.push(...rows.map(({ id }) => id));
  }
  for (const subject of living) await writer.erase(subject, SYSTEM, { reason: RESTORED });
  const known = await db.query<{ subject: string }>(
    // A row about somebody who lives would have them erased at the next start: only what `erase` wrote counts.
    'SELECT subject FROM erasure WHERE subject NOT IN (SELECT id FROM subject)',
  );
  await file.add(known.map(({ subject }) => subject));
  return living.length;
}
