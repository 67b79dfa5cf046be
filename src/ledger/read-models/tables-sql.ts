import { type DataSource, Table } from 'typeorm';
import type { Db } from '../../database/db.js';
import type { ColumnType, TableShape } from '../../database/declare.js';

/**
 * The SQL statements that make a table and its indexes from its declaration.
 * @param source opened with the declaration; not in use meanwhile
 */
export async function createStatements(source: DataSource, table: string): Promise<string[]> {
  const runner = source.createQueryRunner();
  // On SQLite this is the connection's only runner: its recorded SQL must be cleared afterwards.
  runner.enableSqlMemory();
  try {
    await runner.createTable(Table.create(source.getMetadata(table), source.driver));
    return runner.getMemorySql().upQueries.map(({ query }) => query);
  } finally {
    runner.clearSqlMemory();
    runner.disableSqlMemory();
    await runner.release();
  }
}

const TYPES: Readonly<Record<ColumnType, string>> = { integer: 'bigint', text: 'text', uuid: 'uuid', blob: 'bytea' };

/** Temporary table for the rows of a read model. Only its own connection sees it, and it ends with the connection. */
const gathered = ({ table }: TableShape): string => `gathered_${table}`;

export async function createGathered(db: Db, shape: TableShape): Promise<void> {
  const columns = shape.columns.map(({ name, type }) => `${name} ${TYPES[type]}`).join(', ');
  await db.query(`CREATE TEMP TABLE ${gathered(shape)} (${columns}, PRIMARY KEY (${shape.key.join(', ')}))`);
}

export async function dropGathered(db: Db, shape: TableShape): Promise<void> {
  await db.query(`DROP TABLE IF EXISTS ${gathered(shape)}`);
}

/** @param rows values in column order: numbers, texts and nulls */
export async function gatherRows(
  db: Db,
  shape: TableShape,
  rows: readonly (readonly (string | number | null)[])[],
): Promise<void> {
  if (rows.length === 0) return;
  const [value, source] =
    db.dialect === 'postgres'
      ? [
          (at: number, type: ColumnType) => `(r.v ->> ${at})::${TYPES[type]}`,
          'jsonb_array_elements(CAST(? AS jsonb)) AS r(v)',
        ]
      : [(at: number) => `r.value ->> ${at}`, 'json_each(?) AS r'];
  const list = shape.columns.map(({ type }, at) => value(at, type)).join(', ');
  await db.query(`INSERT INTO ${gathered(shape)} SELECT ${list} FROM ${source}`, [JSON.stringify(rows)]);
}

/** @param chains numbers. They are passed as one JSON text, so that one placeholder is enough for any number of them */
export async function dropGatheredRows(db: Db, shape: TableShape, chains: readonly number[]): Promise<void> {
  const numbers =
    db.dialect === 'postgres'
      ? 'SELECT v::bigint FROM jsonb_array_elements_text(CAST(? AS jsonb)) AS r(v)'
      : 'SELECT value FROM json_each(?)';
  await db.query(`DELETE FROM ${gathered(shape)} WHERE chain IN (${numbers})`, [JSON.stringify(chains)]);
}

/** Copies the gathered rows of chains `from ≤ number < to` into the read model. */
export async function copyGathered(db: Db, shape: TableShape, from: number, to: number): Promise<void> {
  const names = shape.columns.map(({ name }) => name).join(', ');
  await db.query(
    `INSERT INTO ${shape.table} (${names}) SELECT ${names} FROM ${gathered(shape)}
     WHERE chain >= ? AND chain < ? ORDER BY ${shape.key.join(', ')}`,
    [from, to],
  );
}

export async function countGathered(db: Db, shape: TableShape): Promise<number> {
  const [row] = await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${gathered(shape)}`);
  return row?.n ?? 0;
}
