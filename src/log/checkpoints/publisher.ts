import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { isConflict } from '../../database/db.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import { NONE_PUBLISHED, publishHead } from '../../ledger/rows/published.js';
import { readHead } from '../../ledger/store/tip.js';
import { faultOf } from '../../queue/fault.js';
import { Published } from './published.js';

/**
 * Publishes the newest checkpoint every `PUBLISH_SECONDS`, if the log grew, so that its growth tells nobody when a
 * pharmacy sold something (design 3). Every process that writes does, whatever its role: a log that nobody publishes
 * would go unseen. Together they publish no more often than one of them: a process that finds a newer checkpoint than
 * at its last look publishes nothing itself. Nothing is published at the end of a process; its successor waits its
 * turn.
 */
@Injectable()
export class Publisher implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Publisher');
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;
  /** Size of the newest at the last look; undefined before the first. */
  private seen: number | undefined;

  constructor(
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly writer: LedgerWriter,
    private readonly db: ReadDb,
    private readonly published: Published,
  ) {}

  /** Publishes before the first request, so that even a new and empty log has a checkpoint to show. */
  async onApplicationBootstrap(): Promise<void> {
    await this.turn();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private turn(): Promise<void> {
    this.running = this.look()
      .catch((error: unknown) => this.tell(error))
      .finally(() => {
        if (!this.stopped) this.timer = setTimeout(() => void this.turn(), this.config.env.PUBLISH_SECONDS * 1000);
      });
    return this.running;
  }

  private async look(): Promise<void> {
    const newest = (await this.published.newest())?.size ?? NONE_PUBLISHED;
    // Before the first look only an empty table is known to be unchanged.
    const unchanged = newest === (this.seen ?? NONE_PUBLISHED);
    this.seen = newest;
    const head = await readHead(this.db);
    if (unchanged && head && head.size > newest) this.seen = await this.publish(newest);
  }

  /** @returns size of the newest published checkpoint */
  private async publish(newest: number): Promise<number> {
    const now = this.clock.now();
    try {
      // The head as it is when its turn in the queue has come.
      return await this.writer.side((db) => publishHead(db, newest, now));
    } catch (error) {
      // Another process was faster: its row has the same predecessor.
      if (isConflict(error)) return newest;
      throw error;
    }
  }

  private tell(error: unknown): void {
    this.logger.warn(`not published: ${faultOf(error)}`);
  }
}
