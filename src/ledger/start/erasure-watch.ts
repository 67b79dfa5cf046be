import type { Db } from '../../database/db.js';
import { erasureOf } from '../commit/erasure-batch.js';
import type { LedgerWriter } from '../ledger.writer.js';

/**
 * Notices what other processes erase. Their memory forgets it with the erasure, this process's at the next look. The ids
 * also go to this machine's file, so that its own backups cannot bring the patients back.
 */
export class ErasureWatch {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  /** Log index of the first entry of the last erasure that was noticed. */
  private seen = -1;

  private constructor(
    private readonly db: Db,
    private readonly writer: LedgerWriter,
    private readonly pollMs: number,
  ) {}

  /** Counts all erasures so far as noticed. */
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
      // The next look notices it. The writer reports outages.
      this.running = this.look()
        .catch(() => undefined)
        .finally(() => this.wait());
    }, this.pollMs);
    // The timer must not keep the process alive.
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
