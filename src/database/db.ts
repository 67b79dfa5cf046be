import type { DataSource, EntitySchema, ObjectLiteral, QueryRunner, Repository } from 'typeorm';

/** A connection that speaks the SQL both engines share. */
export interface Db {
  readonly dialect: 'sqlite' | 'postgres';
  /**
   * Runs one statement with `?` placeholders.
   * @returns the rows of a SELECT; integers as numbers, bytes as Buffer. Other statements give no rows.
   * @throws {DbError} never with values in its message
   */
  query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<T[]>;
  /**
   * Asks the repository of a table that holds no events, on this connection and in its transaction.
   * @param ask MUST NOT use what opens a transaction of its own (`save`, `remove`): the writer's is open already
   * @throws {DbError} as {@link query} does
   */
  table<T extends ObjectLiteral, R>(schema: EntitySchema<T>, ask: (rows: Repository<T>) => Promise<R>): Promise<R>;
}

/** What went wrong with a statement, sorted by what can be done about it. */
export type DbFault =
  /** A unique or primary key is taken. */
  | 'conflict'
  /** The head of the log is not what the statement expected: somebody else committed. */
  | 'head-moved'
  /** The connection broke: whether the statement took effect is not known. */
  | 'lost'
  /** The engine cannot take it now (locked, full, shutting down); it did not take effect. */
  | 'outage'
  /** The statement or its values are at fault. */
  | 'rejected';

/** An engine's error without the statement's values, which may not reach a log. */
export class DbError extends Error {
  constructor(
    readonly fault: DbFault,
    /** SQLSTATE, SQLite result code or system error code. */
    readonly code: string,
  ) {
    super(`database: ${fault} (${code})`);
    this.name = 'DbError';
  }
}

/** Whether a unique key was taken. */
export function isConflict(error: unknown): error is DbError {
  return error instanceof DbError && error.fault === 'conflict';
}

const SQLITE_OUTAGE = /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL|INTERRUPT)/;
/** Classes 53 (resources), 55 (object state, lock_timeout), 40 (rollback), 57014 (statement_timeout), 25P02 (failed transaction). */
const POSTGRES_OUTAGE = /^(53|55|40|57014|25006|25P02)/;
/** Class 08 (connection), 57P0x (server going away), 25P03/25P04 (transaction timeouts end the connection), and what Node says of a socket. */
const POSTGRES_LOST = /^(08|57P0|25P0[34]|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_)/;

export function toDbError(error: unknown, dialect: Db['dialect']): DbError {
  if (error instanceof DbError) return error;
  const carrier = error as { code?: string; message?: string; driverError?: { code?: string; message?: string } };
  const message = carrier.driverError?.message ?? carrier.message ?? '';
  const code = carrier.driverError?.code ?? carrier.code ?? '';
  if (message.includes('head-moved')) return new DbError('head-moved', code);
  if (dialect === 'sqlite') {
    if (SQLITE_OUTAGE.test(code)) return new DbError('outage', code);
    if (/UNIQUE constraint|PRIMARY KEY/i.test(message)) return new DbError('conflict', code);
    return new DbError('rejected', code || 'unknown');
  }
  if (code === '23505') return new DbError('conflict', code);
  if (
    POSTGRES_LOST.test(code) ||
    /connection (terminated|ended|closed)|not queryable|timeout exceeded|timeout expired|read timeout|query runner|driver not connected/i.test(
      message,
    )
  ) {
    return new DbError('lost', code || 'connection');
  }
  if (POSTGRES_OUTAGE.test(code)) return new DbError('outage', code);
  return new DbError('rejected', code || 'unknown');
}

/**
 * Asks both at once where the engine takes that, so that the second need not wait for the event loop. A connection to
 * PostgreSQL is to be asked one thing at a time.
 */
export async function together<A, B>(db: Db, first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  if (db.dialect === 'sqlite') return Promise.all([first(), second()]);
  return [await first(), await second()];
}

/** `?` to `$1…`; our statements hold no question mark in a literal. */
function numbered(sql: string): string {
  let n = 0;
  return sql.replace(/\?/g, () => `$${++n}`);
}

/** A {@link Db} over a TypeORM data source or one connection of it. */
export function dbOf(source: DataSource | QueryRunner): Db {
  const type =
    'connection' in source && !('createQueryRunner' in source)
      ? source.connection.options.type
      : (source as DataSource).options.type;
  const dialect = type === 'postgres' ? 'postgres' : 'sqlite';
  return {
    dialect,
    async query<T extends object>(sql: string, params: readonly unknown[] = []): Promise<T[]> {
      try {
        const rows: unknown = await source.query(dialect === 'postgres' ? numbered(sql) : sql, params as unknown[]);
        return Array.isArray(rows) ? (rows as T[]) : [];
      } catch (error) {
        throw toDbError(error, dialect);
      }
    },
    async table(schema, ask) {
      try {
        return await ask(source.manager.getRepository(schema));
      } catch (error) {
        throw toDbError(error, dialect);
      }
    },
  };
}

/** Values of one statement: both engines bound them, SQLite at 32,766. */
const PAGE = 1000;

/**
 * Asks about as many values as there are, some in each statement: for sets without a bound of their own.
 * @returns the rows of all pages; a row that two pages give is there twice
 */
export async function inPages<V, T>(
  values: readonly V[],
  ask: (page: readonly V[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const rows: T[] = [];
  for (let at = 0; at < values.length; at += PAGE) rows.push(...(await ask(values.slice(at, at + PAGE))));
  return rows;
}

/** `(?, ?, ?)` for a list of values that is short, or one page of {@link inPages}. */
export function placeholders(values: readonly unknown[]): string {
  return `(${values.map(() => '?').join(', ')})`;
}
