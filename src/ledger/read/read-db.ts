import type { EntitySchema, ObjectLiteral, Repository } from 'typeorm';
import { type Db, DbError } from '../../database/db.js';
import { LedgerUnavailable } from '../unavailable.js';

/**
 * The readers' connections, for queries on lists and on rows other than events. Callers check access rights. Never
 * write through it: all writes go through the writer.
 */
export class ReadDb implements Db {
  constructor(
    private readonly db: Db,
    /** Version of the read models that the queries are for. */
    private readonly readModels: number,
  ) {}

  get dialect(): Db['dialect'] {
    return this.db.dialect;
  }

  /**
   * As {@link Db.query}.
   * @throws {DbError} {@link LedgerUnavailable} when the statement fails because another version of the program has
   * rebuilt the read models
   */
  query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<T[]> {
    return this.fitting(() => this.db.query<T>(sql, params));
  }

  /** As {@link Db.table}. @throws as {@link query} does */
  table<T extends ObjectLiteral, R>(schema: EntitySchema<T>, ask: (rows: Repository<T>) => Promise<R>): Promise<R> {
    return this.fitting(() => this.db.table(schema, ask));
  }

  private async fitting<R>(ask: () => Promise<R>): Promise<R> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof DbError && error.fault === 'rejected' && (await this.isOutdated()))
        throw new LedgerUnavailable('another version of RxLedger has taken over this ledger', 5);
      throw error;
    }
  }

  private async isOutdated(): Promise<boolean> {
    const [head] = await this.db
      .query<{ read_models: number }>('SELECT read_models FROM log_head WHERE id = 1')
      // Report the statement's own error instead.
      .catch(() => []);
    return head !== undefined && head.read_models !== this.readModels;
  }
}
