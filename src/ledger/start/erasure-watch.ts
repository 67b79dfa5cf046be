import type { Db } from '../../database/db.js';
import { erasureOf } from '../commit/erasure-batch.js';
import type { LedgerWriter } from '../ledger.writer.js';

/**
 * Takes notice of what other processes erase: their own memory loses it with the erasure, this one's with the next look,
 * and so does what another machine's backup would bring back, once the ids stand in this machine's file as well.
 */
export class ErasureWatch {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  /** First entry of the last erasure that was noticed. */
  private seen = -1;

  private constructor(
    private readonly db: Db,
    private readonly writer: LedgerWriter,
    private readonly pollMs: number,
  ) {}

  /** What was erased up to now counts as noticed. */
  static async start(db: Db, writer: LedgerWriter, pollMs: number): Promise<ErasureWatch> {
    const watch = new ErasureWatch(db, writer, pollMs);
    const [row] = await db.query<{ last: number | null }>('SELECT max(first) AS last FROM erasure');
    watch.seen = row?.last ?? -1;
    watch.wait();
    return watch;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private wait(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      // What could not be noticed now is noticed at the next look; the writer tells of outages.
      this.running = this.look()
        .catch(() => undefined)
        .finally(() => this.wait());
    }, this.pollMs);
    // It alone keeps no process alive.
    this.timer.unref();
  }

  private async look(): Promise<void> {
    const rows = await this.db.query<{ subject: string; first: number }>(
      'SELECT subject, first FROM erasure WHERE first > ? ORDER BY first',
      [this.seen],
    );
    for (const { subject, first } of rows) {
      await this.writer.noteErased(await erasureOf(this.db, subject));
      this.seen = first;
    }
  }
}
