/** Table `served`, but for `verify`, which reads raw cells. */
import { LessThan } from 'typeorm';
import type { Db } from '../../database/db.js';
import { served } from '../../database/tables/log-tables.js';

/**
 * SQL: where witnesses cosign, `/log/checkpoint` asks it at each request, and a repository takes 0.1 ms longer.
 * @returns size of the largest checkpoint that any process has served; -1: none
 */
export async function readServed(db: Db): Promise<number> {
  const [row] = await db.query<{ size: number }>('SELECT size FROM served WHERE id = 1');
  return row?.size ?? -1;
}

/** Stores that nothing below that size is served any more. Inside a transaction of the writer's. */
export async function raiseServed(db: Db, size: number): Promise<void> {
  await db.table(served, (rows) => rows.update({ id: 1, size: LessThan(size) }, { size }));
}
