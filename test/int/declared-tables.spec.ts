import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { afterAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openWriter } from '../../src/database/data-source.js';
import { entitiesFor, tableName } from '../../src/database/declare.js';
import { TABLES } from '../../src/database/tables/index.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { readModelsOf } from '../../src/ledger/store/tables.js';
import { quietSqlite } from '../../src/sqlite/sqlite-file.js';
import { Clock } from '../../src/time/clock.js';
import { sharedPostgres } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';

const DECLARED = [...TABLES, ...readModelsOf(CHAIN_MODELS)];
const OWN = ['migrations'];

/** What the engine says of its tables: columns in order, keys, checks and indexes, in one line each. */
type Catalog = Record<string, string[]>;

async function sqliteCatalog(source: DataSource): Promise<Catalog> {
  const tables = await source.query<{ name: string; sql: string }[]>(
    "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const catalog: Catalog = {};
  for (const { name, sql } of tables.filter((table) => !OWN.includes(table.name))) {
    const columns = await source.query<Record<string, unknown>[]>(`PRAGMA table_xinfo("${name}")`);
    const lines = columns.map((column) => {
      // TypeORM puts a default in brackets.
      const fallback = String(column['dflt_value']).replace(/^\((.*)\)$/, '$1');
      return `${String(column['name'])} ${String(column['type'])} null=${String(column['notnull'] === 0)} default=${fallback} key=${String(column['pk'])}`;
    });
    const indexes = await source.query<{ name: string; unique: number; origin: string }[]>(
      `PRAGMA index_list("${name}")`,
    );
    for (const index of indexes) {
      const parts = await source.query<{ name: string; desc: number; coll: string; key: number }[]>(
        `PRAGMA index_xinfo("${index.name}")`,
      );
      const on = parts.filter(({ key }) => key === 1).map((part) => `${part.name}/${part.desc}/${part.coll}`);
      const [made] = await source.query<{ sql: string | null }[]>('SELECT sql FROM sqlite_master WHERE name = ?', [
        index.name,
      ]);
      const where = / WHERE (.*)$/.exec(made?.sql ?? '')?.[1] ?? '';
      // What a constraint brings with it has a name of the engine's own.
      const called = index.origin === 'c' ? index.name : index.origin;
      lines.push(`index ${called} unique=${index.unique} (${on.join(', ')}) ${where}`);
    }
    lines.push(...[...sql.matchAll(/CHECK \(([^)]*)\)/g)].map(([, check]) => `check ${check}`));
    if (sql.endsWith('WITHOUT ROWID')) lines.push('without rowid');
    catalog[name] = lines.toSorted();
  }
  return catalog;
}

async function postgresCatalog(source: DataSource): Promise<Catalog> {
  const lines = await source.query<{ name: string; line: string }[]>(`
    WITH t AS (SELECT oid, relname::text AS name FROM pg_class
      WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace)
    SELECT t.name, format('%s %s %s null=%s default=%s', row_number() OVER (PARTITION BY t.oid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
        NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS line
      FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
    UNION ALL SELECT t.name, 'constraint ' || c.contype::text || ' ' || pg_get_constraintdef(c.oid)
      FROM t JOIN pg_constraint c ON c.conrelid = t.oid
    UNION ALL SELECT t.name, pg_get_indexdef(i.indexrelid)
      FROM t JOIN pg_index i ON i.indrelid = t.oid
      WHERE NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
    ORDER BY 1, 2`);
  const catalog: Catalog = {};
  for (const { name, line } of lines) if (!OWN.includes(name)) (catalog[name] ??= []).push(line);
  return catalog;
}

describe('the schema is what the declarations say', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it('on SQLite', async () => {
    const config = testConfig(folder.path);
    await (await openLedger(config, new Clock(), CHAIN_MODELS)).close();
    const migrated = await openWriter(config);
    const declared = await new DataSource({
      type: 'sqlite',
      database: join(folder.path, 'declared.sqlite'),
      driver: quietSqlite,
      entities: entitiesFor('sqlite', DECLARED),
      synchronize: true,
    }).initialize();
    const wanted = await sqliteCatalog(declared);
    expect(Object.keys(wanted)).toEqual(DECLARED.map(tableName).toSorted());
    expect(await sqliteCatalog(migrated)).toEqual(wanted);
    await migrated.destroy();
    await declared.destroy();
  });
});

const postgres = await sharedPostgres();

describe.skipIf(postgres.missing)('the schema is what the declarations say', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it('on PostgreSQL', async () => {
    const config = testConfig(folder.path, { DATABASE_URL: await postgres.createDatabase() });
    await (await openLedger(config, new Clock(), CHAIN_MODELS)).close();
    const migrated = await openWriter(config);
    const declared = await new DataSource({
      type: 'postgres',
      url: await postgres.createDatabase(),
      entities: entitiesFor('postgres', DECLARED),
      synchronize: true,
    }).initialize();
    const wanted = await postgresCatalog(declared);
    expect(Object.keys(wanted)).toEqual(DECLARED.map(tableName).toSorted());
    expect(await postgresCatalog(migrated)).toEqual(wanted);
    await migrated.destroy();
    await declared.destroy();
  });
});
