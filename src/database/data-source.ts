import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DataSource, type DataSourceOptions, type EntitySchema } from 'typeorm';
import type { Config } from '../config/config.js';
import { quietSqlite } from '../sqlite/sqlite-file.js';
import { type Db, DbError, toDbError } from './db.js';
import { entitiesFor } from './declare.js';
import { Foundation1790000000000 } from './migrations/1790000000000-foundation.js';
import { SignInAttempts1790000000001 } from './migrations/1790000000001-sign-in-attempts.js';
import { TABLES } from './tables/index.js';

const migrations = [Foundation1790000000000, SignInAttempts1790000000001];

/** How long a write waits for another process (`import` beside `serve`). */
const BUSY_MILLISECONDS = 10_000;
/**
 * Pages in the WAL, 64 MiB, at which a commit folds them into the file itself: only where {@link openFolder}'s
 * connection does not come to it.
 */
const WAL_PAGES = 16_384;

/** What people call the configured database: its file, or the server without user and password. */
export function databaseName({ postgresUrl, sqliteFile }: Config): string {
  if (!postgresUrl) return sqliteFile;
  const name = 'the database of DATABASE_URL';
  if (!URL.canParse(postgresUrl)) return name;
  const { host, pathname } = new URL(postgresUrl);
  return `${name} (${host}${pathname})`;
}

/** The database cannot be opened. The message tells the operator which one, and what to look at. */
export class DatabaseClosed extends DbError {
  constructor({ fault, code }: DbError, what: string) {
    super(fault, code);
    this.message = what;
  }
}

/**
 * @param place the settings, or the file alone
 * @throws {DatabaseClosed} when the engine or the network refuses
 */
async function opened(place: Config | string, options: DataSourceOptions): Promise<DataSource> {
  try {
    return await new DataSource(options).initialize();
  } catch (error) {
    const fault = toDbError(error instanceof AggregateError ? error.errors[0] : error, dialectOf(options));
    // Neither the engine nor the network has said this: it is a fault of the program.
    if (fault.code === 'unknown') throw error;
    throw new DatabaseClosed(
      fault,
      closedInWords(typeof place === 'string' ? place : databaseName(place), fault, options),
    );
  }
}

const dialectOf = ({ type }: DataSourceOptions): Db['dialect'] => (type === 'postgres' ? 'postgres' : 'sqlite');

function closedInWords(name: string, { fault, code }: DbError, options: DataSourceOptions): string {
  if (dialectOf(options) === 'sqlite') return `${name} cannot be opened (${code})`;
  if (fault === 'lost') return `${name} does not answer (${code}): is it running?`;
  if (fault === 'outage') return `${name} takes no connection now (${code}): try again later`;
  return `${name} refuses the connection (${code}): check its user, its password and the name of the database`;
}

/**
 * The writer's own data source. TypeORM on SQLite has ONE connection, so that a bystander's query
 * would land inside the writer's transaction: readers have another source.
 * @param readModels declarations of the read-model tables, for whoever makes them
 */
export async function openWriter(config: Config, readModels: readonly EntitySchema[] = []): Promise<DataSource> {
  const declared = [...TABLES, ...readModels];
  const url = config.postgresUrl;
  if (url) {
    return opened(config, {
      type: 'postgres',
      url,
      parseInt8: true,
      poolSize: 2,
      connectTimeoutMS: 5000,
      applicationName: 'rxledger-writer',
      entities: entitiesFor('postgres', declared),
      migrations,
      migrationsTransactionMode: 'all',
      // Another process may stop while it holds the head's row: nobody waits for it longer than this.
      extra: {
        statement_timeout: 15_000,
        // The server's limits need an answer that comes through; where packets vanish, this one ends the waiting.
        query_timeout: 20_000,
        lock_timeout: 8000,
        idle_in_transaction_session_timeout: 5000,
        keepAlive: true,
      },
    });
  }
  mkdirSync(dirname(config.sqliteFile), { recursive: true, mode: 0o700 });
  const source = await opened(config.sqliteFile, {
    type: 'sqlite',
    database: config.sqliteFile,
    driver: quietSqlite,
    enableWAL: true,
    busyTimeout: BUSY_MILLISECONDS,
    entities: entitiesFor('sqlite', declared),
    migrations,
    migrationsTransactionMode: 'all',
  } as never);
  for (const pragma of ['synchronous = FULL', 'secure_delete = ON', `wal_autocheckpoint = ${WAL_PAGES}`]) {
    await source.query(`PRAGMA ${pragma}`);
  }
  return source;
}

/**
 * A connection of its own on which the WAL of a SQLite file is folded into the file (`wal_checkpoint(PASSIVE)`), while
 * the writer goes on: a commit that has to do it keeps everybody waiting for as long as dozens of others take.
 */
export async function openFolder(writer: DataSource): Promise<DataSource> {
  const source = await new DataSource({
    type: 'sqlite',
    database: writer.options.database,
    driver: quietSqlite,
    busyTimeout: BUSY_MILLISECONDS,
  } as never).initialize();
  // The file is on the disk before the WAL is written over.
  await source.query('PRAGMA synchronous = FULL');
  return source;
}

/** The readers' data source. On SQLite it is opened read-only: a wrong path is an error, not an empty database. */
export async function openReader(config: Config): Promise<DataSource> {
  const url = config.postgresUrl;
  if (url) {
    return opened(config, {
      type: 'postgres',
      url,
      parseInt8: true,
      poolSize: 8,
      connectTimeoutMS: 5000,
      applicationName: 'rxledger-reader',
      entities: entitiesFor('postgres', TABLES),
      extra: { statement_timeout: 60_000, query_timeout: 65_000, keepAlive: true },
    });
  }
  return openSqliteReadOnly(config.sqliteFile);
}

/** @throws when there is no such file */
export function openSqliteReadOnly(file: string): Promise<DataSource> {
  return opened(file, {
    type: 'sqlite',
    database: file,
    driver: quietSqlite,
    flags: quietSqlite.OPEN_READONLY,
    busyTimeout: BUSY_MILLISECONDS,
    entities: entitiesFor('sqlite', TABLES),
  } as never);
}

/** An arbitrary constant that all RxLedger processes of one database share. */
const MIGRATION_LOCK = 7_295_514_021;

/** Brings the schema up to date; several processes that start together take turns. */
export async function migrate(writer: DataSource): Promise<void> {
  if (writer.options.type !== 'postgres') {
    await writer.runMigrations();
    return;
  }
  const lock = writer.createQueryRunner();
  try {
    await lock.query('SET statement_timeout = 0');
    await lock.query('SET lock_timeout = 0');
    await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    try {
      await writer.runMigrations();
    } finally {
      await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
      await lock.query('RESET statement_timeout');
      await lock.query('RESET lock_timeout');
    }
  } finally {
    await lock.release();
  }
}
