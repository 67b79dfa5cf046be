/** The one file that names the SQLite driver. */
import sqlite3 from 'sqlite3';

/**
 * The driver as TypeORM takes it. TypeORM asks for `verbose()`, which writes every bound value into error stacks: a
 * leak as well as a cost. This one has nothing to say.
 */
export const quietSqlite = { ...sqlite3, verbose: () => quietSqlite };

/** A statement, or the file itself, that SQLite refuses. The message never holds a value. */
export class SqliteError extends Error {
  override readonly name = 'SqliteError';

  /** @param code result code of SQLite, for example `SQLITE_BUSY` */
  constructor(readonly code: string) {
    super(`SQLite: ${code}`);
  }
}

/** A value that a statement takes for a `?`. */
export type SqliteValue = string | number | null | Uint8Array;

/**
 * One connection to a SQLite file, for programs that keep a few tables of their own and need no more of a database.
 * Statements run one after the other: await each before the next.
 */
export class SqliteFile {
  private constructor(private readonly database: sqlite3.Database) {}

  /**
   * Opens the file, and makes it where there is none.
   * @throws {SqliteError} when it cannot be opened; what its content is worth, the first statement tells
   */
  static open(path: string): Promise<SqliteFile> {
    return new Promise((resolve, reject) => {
      const database: sqlite3.Database = new sqlite3.Database(path, (error) =>
        error ? reject(quiet(error)) : resolve(new SqliteFile(database)),
      );
    });
  }

  /**
   * Runs one statement.
   * @returns its rows; bytes as Buffer
   * @throws {SqliteError}
   */
  query<T extends object = Record<string, unknown>>(sql: string, values: readonly SqliteValue[] = []): Promise<T[]> {
    return new Promise((resolve, reject) => {
      this.database.all<T>(sql, values, (error, rows) => (error ? reject(quiet(error)) : resolve(rows)));
    });
  }

  /** @throws {SqliteError} */
  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.database.close((error) => (error ? reject(quiet(error)) : resolve()));
    });
  }
}

/** SQLite's own message may name values. */
function quiet(error: Error): SqliteError {
  return new SqliteError('code' in error && typeof error.code === 'string' ? error.code : 'unknown');
}
