/** Table `relay_cursor`: how far each follower of the log has come. */
import type { Db } from '../../database/db.js';
import { relayCursor } from '../../database/tables/follower-tables.js';

/** @returns log index of the first entry that the follower has not taken over yet */
export async function readCursor(db: Db, name: string): Promise<number> {
  const row = await db.table(relayCursor, (rows) => rows.findOneBy({ name }));
  return row?.next ?? 0;
}

/** Moves a cursor that stands at `from`, and no other. For the writer's side jobs. */
export async function moveCursor(db: Db, name: string, from: number, to: number): Promise<void> {
  const { affected } = await db.table(relayCursor, (rows) => rows.update({ name, next: from }, { next: to }));
  // One that never moved has no row.
  if (affected === 0 && from === 0)
    await db.table(relayCursor, (rows) =>
      rows.createQueryBuilder().insert().values({ name, next: to }).orIgnore().execute(),
    );
}

/** For the writer's side jobs. */
export async function resetCursor(db: Db, name: string): Promise<void> {
  await db.table(relayCursor, (rows) => rows.update({ name }, { next: 0 }));
}
