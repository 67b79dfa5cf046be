import type { EntitySchema, ObjectLiteral, Repository } from 'typeorm';
import { type Db, DbError } from '../../database/db.js';
import { LedgerUnavailable } from '../unavailable.js';

/**
 * The readers' connections, for queries on lists and on rows that are no events. It authorises nothing, and nobody
 * writes through it: what is written goes through the writer.
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
   * @throws {DbError} {@link LedgerUnavailable} when the statement does not fit the read models because another version
   *   of the program made them anew
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
      // Then the statement's own fault is the one to tell.
      .catch(() => []);
    return head !== undefined && head.read_models !== this.readModels;
  }
}
