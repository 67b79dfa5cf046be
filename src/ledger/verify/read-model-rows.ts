import { type Db, placeholders } from '../../database/db.js';
import type { TableShape } from '../../database/declare.js';
import { rowKey, sameRow, type StoredRow } from '../store/chain-row.js';
import type { Findings } from './report.js';

/** Read-model rows as stored: table, chain number, key. */
export type StoredRows = ReadonlyMap<string, ReadonlyMap<number, ReadonlyMap<string, StoredRow>>>;

/** @param chains numbers of a page of chains. @returns their rows by chain number and key */
export async function readStoredRows(
  db: Db,
  shape: TableShape,
  chains: readonly number[],
): Promise<Map<number, Map<string, StoredRow>>> {
  const columns = shape.columns.map(({ name }) => name);
  const rows = await db.query<Record<string, string | number | null>>(
    `SELECT ${columns.join(', ')} FROM ${shape.table} WHERE chain IN ${placeholders(chains)}`,
    chains,
  );
  const byChain = new Map<number, Map<string, StoredRow>>();
  for (const row of rows) {
    const chain = row['chain'] as number;
    let of = byChain.get(chain);
    if (!of) byChain.set(chain, (of = new Map()));
    of.set(rowKey(shape, row), { table: shape.table, values: columns.map((name) => row[name] ?? null) });
  }
  return byChain;
}

/** @param expected the rows of the chain in all tables @param have its stored rows in this one */
export function compareRows(
  table: string,
  chain: number,
  expected: ReadonlyMap<string, StoredRow>,
  have: ReadonlyMap<string, StoredRow>,
  findings: Findings,
): void {
  for (const [key, wanted] of expected) {
    if (wanted.table !== table) continue;
    const there = have.get(key);
    if (!there) findings.add('missing', table, { chain }, 'a row that the state gives is not there');
    else if (!sameRow(there, wanted)) findings.add('tampered', table, { chain }, 'differs from what the state gives');
  }
  for (const key of have.keys())
    if (!expected.has(key)) findings.add('tampered', table, { chain }, 'has a row that the state does not give');
}

/** @param given blind indexes of the outside names, computed from the state @param names the stored ones */
export function compareNames(
  chain: number,
  given: ReadonlySet<string>,
  names: ReadonlySet<string>,
  findings: Findings,
): void {
  for (const blind of given)
    if (!names.has(blind)) findings.add('missing', 'name', { chain }, 'an outside name is not there');
  for (const blind of names)
    if (!given.has(blind)) findings.add('tampered', 'name', { chain }, 'has a name that the state does not give');
}
