import type { DataSource } from 'typeorm';
import { openFolder } from '../../database/data-source.js';

/** Batches between two folds: enough that pages changed by several batches are copied only once. */
const FOLD_EVERY = 64;

/**
 * Folds SQLite's write-ahead log into the database file between commits. A commit that has to fold it would keep all
 * writes waiting as long as dozens of commits take.
 */
export class Wal {
  private batches = 0;
  private folding: Promise<unknown> = Promise.resolve();
  private idle = true;

  private constructor(private readonly source: DataSource) {}

  /** @param writer the writer's data source, on SQLite */
  static async open(writer: DataSource): Promise<Wal> {
    return new Wal(await openFolder(writer));
  }

  /** Call it after each committed batch. */
  grew(): void {
    this.batches++;
    if (this.idle && this.batches >= FOLD_EVERY) this.folding = this.fold();
  }

  private async fold(): Promise<void> {
    this.batches = 0;
    this.idle = false;
    try {
      // PASSIVE waits for nobody: pages that readers still need stay for the next fold.
      await this.source.query('PRAGMA wal_checkpoint(PASSIVE)');
    } catch {
      // Nothing is lost: a later fold does it, or a commit once the WAL is large.
    }
    this.idle = true;
  }

  async close(): Promise<void> {
    await this.folding;
    await this.source.destroy();
  }
}
