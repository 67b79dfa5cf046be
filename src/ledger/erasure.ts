import { type Db, placeholders } from '../database/db.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow } from './chain-head.js';
import { type Desk, type Draft, openStaging, seal } from './draft.js';
import { closedHead } from './head-cache.js';
import type { Actor, ChainModel } from './model.js';
import type { Tip } from './tip.js';

/**
 * The last events of all chains of a subject, to be written while the head's lock is held.
 * @returns null when no chain is the subject's (any more)
 */
export async function draftErasure(
  db: Db,
  desk: Desk,
  models: readonly ChainModel[],
  tip: Tip,
  now: number,
  subject: string,
  actor: Actor,
): Promise<Draft | null> {
  const rows = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE s.id = ? ORDER BY c.num`, [
    subject,
  ]);
  if (rows.length === 0) return null;
  const { tree, staging } = openStaging(desk, tip, now, 0, null);
  for (const row of rows) {
    const model = models.find(({ kind }) => kind === row.kind);
    if (!model) throw new Error(`no model of kind ${row.kind}`);
    staging.erase(closedHead(row, false), model, actor);
  }
  return seal(desk, tip, now, tree, staging, []);
}

/** Deletes what the subject's chains held, in the transaction that wrote their last events. */
export async function deleteErased(
  db: Db,
  models: readonly ChainModel[],
  { staging }: Draft,
  subject: string,
): Promise<void> {
  const chains = [...staging.changed.values()].map(({ head }) => head.num);
  const ended = staging.entries.map(({ event }) => event.index);
  const ofChains = placeholders(chains);
  await db.query(
    `DELETE FROM payload WHERE idx IN (SELECT idx FROM entry WHERE chain IN ${ofChains}) AND idx NOT IN ${placeholders(ended)}`,
    [...chains, ...ended],
  );
  const tables = new Set(['name', ...models.flatMap(({ readModels }) => readModels.map(({ table }) => table))]);
  for (const table of tables) await db.query(`DELETE FROM ${table} WHERE chain IN ${ofChains}`, chains);
  await db.query('DELETE FROM subject WHERE id = ?', [subject]);
}
