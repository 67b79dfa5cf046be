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
  async query<T extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<T[]> {
    try {
      return await this.db.query<T>(sql, params);
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
