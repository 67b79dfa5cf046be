import type { DataSource } from 'typeorm';
import { openFolder } from '../../database/data-source.js';

/** Batches between two folds: so many that pages which they share are copied once. */
const FOLD_EVERY = 64;

/**
 * SQLite's write-ahead log, folded into the file beside the commits. A commit that folds it itself keeps all writes
 * waiting for as long as dozens of commits take.
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

  /** A batch was committed. */
  grew(): void {
    this.batches++;
    if (this.idle && this.batches >= FOLD_EVERY) this.folding = this.fold();
  }

  private async fold(): Promise<void> {
    this.batches = 0;
    this.idle = false;
    try {
      // Waits for nobody: what readers still need stays for the next time.
      await this.source.query('PRAGMA wal_checkpoint(PASSIVE)');
    } catch {
      // Nothing is lost by it: a later fold, or a commit once the WAL is large, does it.
    }
    this.idle = true;
  }

  async close(): Promise<void> {
    await this.folding;
    await this.source.destroy();
  }
}
