import { type DataSource, Table } from 'typeorm';
import { tableName } from '../../database/declare.js';
import { dbOf } from '../../database/db.js';
import type { ChainModel } from '../model.js';
import { readModelsOf } from '../store/tables.js';
import { readModelsVersion } from './version.js';

/** Makes the read-model tables of a new database. @param source opened with their declarations */
export async function makeReadModels(source: DataSource, models: readonly ChainModel[]): Promise<void> {
  const statements: string[] = [];
  for (const schema of readModelsOf(models)) statements.push(...(await createStatements(source, tableName(schema))));
  const runner = source.createQueryRunner();
  const db = dbOf(runner);
  try {
    await db.query(db.dialect === 'sqlite' ? 'BEGIN IMMEDIATE' : 'BEGIN');
    const lock = db.dialect === 'postgres' ? ' FOR UPDATE' : '';
    const [head] = await db.query<{ read_models: number }>(`SELECT read_models FROM log_head WHERE id = 1${lock}`);
    if (head?.read_models === 0) {
      for (const statement of statements) await db.query(statement);
      await db.query('UPDATE log_head SET read_models = ?', [readModelsVersion(models)]);
    }
    await db.query('COMMIT');
  } catch (error) {
    await db.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    await runner.release();
  }
}

/**
 * The statements that make a table and its indexes as the declaration says.
 * @param source opened with the declaration
 * @param name of the table
 */
export async function createStatements(source: DataSource, name: string): Promise<string[]> {
  const runner = source.createQueryRunner();
  // On SQLite it is the connection's only one: what is noted must not stay there.
  runner.enableSqlMemory();
  try {
    await runner.createTable(Table.create(source.getMetadata(name), source.driver));
    return runner.getMemorySql().upQueries.map(({ query }) => query);
  } finally {
    runner.clearSqlMemory();
    runner.disableSqlMemory();
    if (source.options.type === 'postgres') await runner.release();
  }
}
