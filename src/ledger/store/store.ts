import type { DataSource, QueryRunner } from 'typeorm';
import { type Db, DbError, dbOf, toDbError } from '../../database/db.js';
import {
  type BatchTable,
  type BatchTime,
  type HeadAfter,
  type HeadBefore,
  postgresStatement,
  type SealedRows,
  sqliteSetup,
  sqliteStatement,
  statementParams,
} from './batch-statement.js';
import { LedgerUnavailable } from '../unavailable.js';
import { Wal } from './wal-folding.js';

/** The parts of an engine's work that differ between SQLite and PostgreSQL. */
export interface Store {
  /** The writer's own connection. */
  readonly db: Db;
  /**
   * Writes one batch in one transaction.
   * @returns false when nothing was written: the head moved, a KEK may not wrap any more or (PostgreSQL) the clocks
   * disagree
   * @throws {DbError} `lost` when the outcome is not known; {@link LedgerUnavailable} when the read models have another
   * version
   */
  write(before: HeadBefore, after: HeadAfter, rows: SealedRows): Promise<boolean>;
  /** Instant of the database's clock, ms; null when the database uses this machine's clock. */
  clock(): Promise<number | null>;
  /** Runs the work in a transaction that holds the head's lock. */
  locked<T>(work: () => Promise<T>): Promise<T>;
  /** Runs work on rows other than events in a transaction. */
  transaction<T>(work: () => Promise<T>): Promise<T>;
  /** After a lost connection: ends statements of the old connection that may still run, and opens a new one. */
  reconnect(): Promise<void>;
  close(): Promise<void>;
}

interface SqliteStatement {
  run(params: readonly unknown[], done: (error: Error | null) => void): void;
  finalize(done: () => void): void;
}
interface SqliteConnection {
  prepare(sql: string, done: (error: Error | null) => void): SqliteStatement;
}

/**
 * @param readModels version of the read models among the tables: batches for another one are refused
 * @param time allowed time of batches (PostgreSQL only: SQLite has no clock of its own)
 */
export async function openStore(
  source: DataSource,
  tables: readonly BatchTable[],
  readModels: number,
  time: BatchTime = 'now',
): Promise<Store> {
  return source.options.type === 'postgres'
    ? openPostgres(source, tables, readModels, time)
    : openSqlite(source, tables, readModels);
}

/**
 * Called when nothing was written. If the read models have another version by now, that is the reason, and retrying
 * does not help.
 * @throws {LedgerUnavailable}
 */
async function mustBeOfVersion(db: Db, readModels: number): Promise<void> {
  const [head] = await db
    .query<{ read_models: number }>('SELECT read_models FROM log_head WHERE id = 1')
    // Report the statement's own error instead.
    .catch(() => []);
  if (head && head.read_models !== readModels)
    throw new LedgerUnavailable(
      'another version of RxLedger has taken over this ledger: this process writes no more',
      5,
    );
}

async function openSqlite(source: DataSource, tables: readonly BatchTable[], readModels: number): Promise<Store> {
  const db = dbOf(source);
  for (const statement of sqliteSetup(tables, readModels)) await db.query(statement);
  // The driver keeps no prepared statements: query() would parse this one anew for every batch.
  const connection = (source.driver as unknown as { databaseConnection: SqliteConnection }).databaseConnection;
  const insert = await new Promise<SqliteStatement>((resolve, reject) => {
    const statement = connection.prepare(sqliteStatement(tables), (error) =>
      error ? reject(error) : resolve(statement),
    );
  });
  const wal = await Wal.open(source);
  const begun = async <T>(work: () => Promise<T>): Promise<T> => {
    await db.query('BEGIN IMMEDIATE');
    try {
      const result = await work();
      await db.query('COMMIT');
      return result;
    } catch (error) {
      await db.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  };
  return {
    db,
    async write(before, after, rows) {
      try {
        await new Promise<void>((resolve, reject) => {
          insert.run(statementParams(before, after, rows), (error) => (error ? reject(error) : resolve()));
        });
        wal.grew();
        return true;
      } catch (error) {
        const fault = toDbError(error, 'sqlite');
        if (fault.fault === 'head-moved' || fault.fault === 'rejected') await mustBeOfVersion(db, readModels);
        if (fault.fault === 'head-moved') return false;
        throw fault;
      }
    },
    clock: () => Promise.resolve(null),
    locked: begun,
    transaction: begun,
    reconnect: () => Promise.resolve(),
    close: async () => {
      await new Promise<void>((resolve) => insert.finalize(resolve));
      try {
        await wal.close();
      } finally {
        await source.destroy();
      }
    },
  };
}

/** One server process. Pids are reused, so its start time is part of its identity. */
interface Backend {
  pid: number;
  started: string;
}

interface PostgresClient {
  query(query: { name: string; text: string; values: unknown[] }): Promise<{ rowCount: number | null }>;
}

/** ms that a terminated backend may take to end. After that, this process waits for the head's lock instead. */
const TERMINATE_MS = 2000;

async function openPostgres(
  source: DataSource,
  tables: readonly BatchTable[],
  readModels: number,
  time: BatchTime,
): Promise<Store> {
  const text = postgresStatement(tables, readModels, time);
  let runner: QueryRunner = source.createQueryRunner();
  let client: PostgresClient;
  let backend: Backend | null = null;
  /** Backends of abandoned connections that may still run. */
  const abandoned: Backend[] = [];
  let db: Db = dbOf(runner);

  const connect = async (): Promise<void> => {
    runner = source.createQueryRunner();
    try {
      client = (await runner.connect()) as PostgresClient;
      db = dbOf(runner);
      const [row] = await db.query<Backend>(
        'SELECT pid, backend_start::text AS started FROM pg_stat_activity WHERE pid = pg_backend_pid()',
      );
      backend = row ?? null;
    } catch (error) {
      await drop();
      throw toDbError(error, 'postgres');
    }
  };
  const drop = async (): Promise<void> => {
    // With an error, the pool discards the connection.
    await (runner as unknown as { releasePostgresConnection(error?: Error): Promise<void> }).releasePostgresConnection(
      new Error('connection is given up'),
    );
  };
  const begun = async <T>(first: string | null, work: () => Promise<T>): Promise<T> => {
    await db.query('BEGIN');
    try {
      if (first) await db.query(first);
      const result = await work();
      await db.query('COMMIT');
      return result;
    } catch (error) {
      if (!(error instanceof DbError && error.fault === 'lost')) await db.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  };
  await connect();
  return {
    db: {
      dialect: 'postgres',
      query: (sql, params) => db.query(sql, params),
      table: (schema, ask) => db.table(schema, ask),
    },
    async write(before, after, rows) {
      try {
        const { rowCount } = await client.query({
          name: 'rxledger_batch',
          text,
          values: statementParams(before, after, rows),
        });
        if (rowCount === 1) return true;
      } catch (error) {
        const fault = toDbError(error, 'postgres');
        if (fault.fault === 'rejected') await mustBeOfVersion(db, readModels);
        throw fault;
      }
      await mustBeOfVersion(db, readModels);
      return false;
    },
    async clock() {
      const [row] = await db.query<{ ms: number }>(
        'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms',
      );
      return row?.ms ?? null;
    },
    locked: (work) => begun('SELECT size FROM log_head WHERE id = 1 FOR UPDATE', work),
    transaction: (work) => begun(null, work),
    async reconnect() {
      if (backend) abandoned.push(backend);
      backend = null;
      await drop();
      await connect();
      // A statement that reached the server may still run there. Its outcome is settled only when its backend is gone.
      for (let old = abandoned[0]; old; old = abandoned[0]) {
        await db.query(
          'SELECT pg_terminate_backend(pid, ?) FROM pg_stat_activity WHERE pid = ? AND backend_start::text = ?',
          [TERMINATE_MS, old.pid, old.started],
        );
        abandoned.shift();
      }
    },
    async close() {
      try {
        await runner.release();
      } finally {
        await source.destroy();
      }
    },
  };
}
