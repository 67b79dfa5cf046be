import { type Db, placeholders } from '../../database/db.js';
import type { TableShape } from '../../database/declare.js';
import { groupBy } from '../core/group-by.js';
import { CHAIN_COLUMNS, type ChainRow, type StoredRow } from '../store/chain-row.js';
import { bytes, integer } from './cells.js';
import { type EventRow, readable } from './chain-rows.js';
import type { ChainEnd } from './entries.js';
import { readStoredRows, type StoredRows } from './read-model-rows.js';
import type { Findings } from './report.js';

/** Everything that the database holds about a page of chains. */
export interface ChainPage {
  /** By chain id. */
  readonly chains: ReadonlyMap<string, ChainRow>;
  /** By chain number, in seq order. */
  readonly events: ReadonlyMap<number, readonly EventRow[]>;
  readonly rows: StoredRows;
  /** Blind indexes (hex) of outside names, by chain number. */
  readonly names: ReadonlyMap<number, ReadonlySet<string>>;
}

/** @param ends the last entries of a page of chains, by chain id */
export async function readChains(
  db: Db,
  ends: ReadonlyMap<string, ChainEnd>,
  readModels: readonly TableShape[],
): Promise<ChainPage> {
  const nums = [...ends.values()].map(({ num }) => num);
  const ids = [...ends.keys()];
  const chains = await db.query<ChainRow>(
    // LEFT JOIN, so that a chain whose subject is missing becomes a finding instead of being skipped.
    `SELECT ${CHAIN_COLUMNS} FROM chain c LEFT JOIN subject s ON s.num = c.subject WHERE c.id IN ${placeholders(ids)}`,
    ids,
  );
  const events = await db.query<EventRow>(
    `SELECT e.idx, e.chain, e.seq, e.entry, p.body FROM entry e LEFT JOIN payload p ON p.idx = e.idx
     WHERE e.chain IN ${placeholders(nums)} ORDER BY e.chain, e.seq`,
    nums,
  );
  const rows = new Map<string, Map<number, Map<string, StoredRow>>>();
  for (const shape of readModels) rows.set(shape.table, await readStoredRows(db, shape, nums));
  const named = await db.query<{ blind: Buffer; chain: number }>(
    `SELECT blind, chain FROM name WHERE chain IN ${placeholders(nums)}`,
    nums,
  );
  const names = new Map<number, Set<string>>();
  for (const [chain, those] of groupBy(named, (row) => row.chain))
    names.set(chain, new Set(those.map(({ blind }) => bytes(blind).toString('hex'))));
  return {
    chains: new Map(chains.map((row) => [row.id, readable(row)])),
    events: groupBy(events, ({ chain }) => chain),
    rows,
    names,
  };
}

/**
 * Reports chains without an entry, and rows without a chain.
 * @param ends the last entries of all chains, by chain id
 */
export async function findStrayRows(
  db: Db,
  ends: ReadonlyMap<string, ChainEnd>,
  readModels: readonly TableShape[],
  findings: Findings,
): Promise<void> {
  const all = await db.query<{ num: number; id: string }>('SELECT num, id FROM chain ORDER BY num');
  for (const { num, id } of all)
    if (!ends.has(id)) findings.add('tampered', 'chain', { num: integer(num) }, 'has no entry in the log');
  for (const { table } of [...readModels, { table: 'name' }]) {
    const strays = await db.query<{ chain: number }>(
      `SELECT DISTINCT chain FROM ${table} WHERE chain NOT IN (SELECT num FROM chain) LIMIT 50`,
    );
    for (const { chain } of strays) findings.add('tampered', table, { chain: integer(chain) }, 'belongs to no chain');
  }
}
