import { readModelsOf } from '../store/tables.js';
import { tableName } from '../../database/declare.js';
import type { JsonObject } from '../core/record/event.js';
import { type Db, inPages, placeholders } from '../../database/db.js';
import {
  CHAIN_COLUMNS,
  CHAIN_FROM,
  type ChainRow,
  isErased,
  STATE_COLUMNS,
  STATE_FROM,
  type StateRow,
} from '../store/chain-row.js';
import { type BatchTools, closeBatch, type DecidedBatch, openBatch } from './decided-batch.js';
import { closedHead } from './head-cache.js';
import type { Locked } from './log-tail.js';
import { stateOf } from '../read/chain-events.js';
import { forgetMade } from '../rows/made-requests.js';
import type { Actor, ChainModel, Refusal } from '../model.js';

/** What may come with an erasure. */
export interface ErasureOptions {
  /** Why: a code that says nothing about the person, since each chain's last event shows it in the clear. */
  readonly reason?: string;
  /**
   * Decides while the head's lock is held, before anything is written: nobody changes what it sees. Another attempt asks
   * it again.
   * @param own state of the subject's own chain, whose id is the subject's; null when there is none, or none any more
   * @param now instant of the erasure, ms since 1970
   * @returns why the subject may not be erased, or further subjects to erase
   */
  readonly decide?: (db: Db, own: unknown, now: number) => Promise<{ refusal: Refusal } | { also: readonly string[] }>;
  /** Writes, in the same transaction, what else must be remembered. */
  readonly remember?: (db: Db) => Promise<void>;
}

/**
 * Who was erased: entries `first … first + chains - 1` ended their chains. `chains` is 0 and `first` -1 where the ledger
 * never knew them.
 */
export interface Erased {
  readonly ok: true;
  readonly first: number;
  readonly chains: number;
  /** Ids of the subjects and of their chains: what an older backup may know them by. */
  readonly ids: readonly string[];
}
export type ErasureOutcome = Erased | { readonly ok: false; readonly refusal: Refusal };

export interface ErasureDone {
  readonly outcome: ErasureOutcome;
  /** Null when there was nothing to end. */
  readonly batch: DecidedBatch | null;
}

/** Ends every chain of a subject and deletes what they held, under the head's lock. */
export async function eraseSubject(
  locked: Locked,
  models: readonly ChainModel[],
  subject: string,
  actor: Actor,
  { reason, decide, remember }: ErasureOptions,
): Promise<ErasureDone> {
  const { db, tools, now } = locked;
  const decided = decide ? await decide(db, await ownState(db, tools, models, subject), now) : { also: [] };
  if ('refusal' in decided) return { outcome: { ok: false, refusal: decided.refusal }, batch: null };
  const subjects = [subject, ...decided.also];
  const batch = await endChains(locked, models, subjects, actor, reason);
  if (batch) await locked.write(batch);
  await deleteErased(db, models, batch, subjects);
  await remember?.(db);
  return { outcome: await erasureOf(db, subject), batch };
}

/** State of the subject's own chain; null when there is none, or it is erased. */
async function ownState(
  db: Db,
  { vault }: BatchTools,
  models: readonly ChainModel[],
  subject: string,
): Promise<unknown> {
  const [row] = await db.query<StateRow>(`SELECT ${STATE_COLUMNS} ${STATE_FROM} WHERE c.id = ? AND s.id = ?`, [
    subject,
    subject,
  ]);
  return row ? stateOf(db, vault, row, modelOf(models, row)) : null;
}

/**
 * The last events of all chains of these subjects.
 * @returns null when no chain is theirs, or all are erased already
 */
async function endChains(
  { db, tools, tip, now }: Locked,
  models: readonly ChainModel[],
  subjects: readonly string[],
  actor: Actor,
  reason: string | undefined,
): Promise<DecidedBatch | null> {
  const rows = await inPages(subjects, (page) =>
    db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM} WHERE s.id IN ${placeholders(page)}`, page),
  );
  const standing = rows.filter((row) => !isErased(row)).toSorted((a, b) => a.num - b.num);
  if (standing.length === 0) return null;
  const open = openBatch(tools, tip, now, { nextSubject: 0, log: null });
  const data: JsonObject = reason === undefined ? {} : { reason };
  // Until no key-encryption key up to this one is left, a backup and that key give the data back.
  const kek = standing.reduce((newest, row) => (row.kek > newest ? row.kek : newest), '');
  for (const row of standing)
    open.staging.erase(closedHead(row, false), modelOf(models, row), actor, { data, derived: { kek } });
  return closeBatch(tools, open, []);
}

function modelOf(models: readonly ChainModel[], { kind }: ChainRow): ChainModel {
  const model = models.find((each) => each.kind === kind);
  if (!model) throw new Error(`no model of kind ${kind}`);
  return model;
}

/**
 * Deletes what the subjects' chains held and what else names them, and writes down that they are erased. It runs in the
 * transaction that wrote their last events. What was put back of a chain that is erased already goes, too.
 * @param batch null when no chain was ended now
 */
async function deleteErased(
  db: Db,
  models: readonly ChainModel[],
  batch: DecidedBatch | null,
  subjects: readonly string[],
): Promise<void> {
  const known = await inPages(subjects, (page) =>
    // Organisations and people without a chain have numbers below 0, and are not erased.
    db.query<{ num: number }>(`SELECT num FROM subject WHERE num > 0 AND id IN ${placeholders(page)}`, page),
  );
  if (known.length === 0) return;
  const tables = ['name', ...readModelsOf(models).map(tableName)];
  for (const { num } of known) {
    await db.query(
      `DELETE FROM payload WHERE idx IN (SELECT e.idx FROM entry e JOIN chain c ON c.num = e.chain
         WHERE c.subject = ? AND e.seq < c.seq)`,
      [num],
    );
    for (const table of tables)
      await db.query(`DELETE FROM ${table} WHERE chain IN (SELECT num FROM chain WHERE subject = ?)`, [num]);
    await db.query('DELETE FROM subject WHERE num = ?', [num]);
  }
  await deleteAccounts(db, subjects);
  const entries = batch?.staging.entries ?? [];
  for (const subject of entries.length > 0 ? subjects : [])
    await db.query(
      `INSERT INTO erasure (subject, first, count) VALUES (?, ?, ?)
       ON CONFLICT (subject) DO UPDATE SET first = excluded.first, count = excluded.count`,
      [subject, entries[0]?.event.index, entries.length],
    );
}

/** A patient's user name finds the account, and the MAC of the request that made it would confirm a guess. */
async function deleteAccounts(db: Db, subjects: readonly string[]): Promise<void> {
  for (const subject of subjects) {
    const accounts = await db.query<{ id: string }>('SELECT id FROM account WHERE patient = ?', [subject]);
    if (accounts.length === 0) continue;
    const ids = accounts.map(({ id }) => id);
    // A repeat of the request still makes no second account: it finds none that has the patient's id.
    await forgetMade(db, ids, subject);
    await db.query('DELETE FROM account WHERE patient = ?', [subject]);
  }
}

/** Keeps everybody from being erased until the transaction ends, so that no row outlives the subject that it names. */
export async function holdErasures(db: Db): Promise<void> {
  // On SQLite the transaction has the database to itself.
  if (db.dialect === 'postgres') await db.query('SELECT 1 FROM log_head WHERE id = 1 FOR SHARE');
}

/** The erasure in which this subject was erased; one of nobody when it was not. */
export async function erasureOf(db: Db, subject: string): Promise<Erased> {
  const [row] = await db.query<{ first: number; count: number }>('SELECT first, count FROM erasure WHERE subject = ?', [
    subject,
  ]);
  if (!row) return { ok: true, first: -1, chains: 0, ids: [] };
  const { first, count } = row;
  // A chain that was matched to the subject belonged to another one earlier.
  const known = await db.query<{ id: string }>(
    `SELECT subject AS id FROM erasure WHERE first = ? UNION
     SELECT c.id FROM entry e JOIN chain c ON c.num = e.chain WHERE e.idx >= ? AND e.idx < ?`,
    [first, first, first + count],
  );
  return { ok: true, first, chains: count, ids: known.map(({ id }) => id) };
}
