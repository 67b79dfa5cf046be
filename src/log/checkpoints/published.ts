import { ReadDb } from '../../ledger/read/read-db.js';
import { Injectable } from '@nestjs/common';

/** A checkpoint that was published, with when. */
export interface PublishedCheckpoint {
  /** Number of entries. */
  readonly size: number;
  /** The signed note. */
  readonly checkpoint: string;
  /** Instant, ms since 1970, as the process that published it saw it. */
  readonly publishedAt: number;
}

const COLUMNS = 'size, checkpoint, published_at AS "publishedAt"';

/** The published checkpoints. Which of them is served is for `ServedCheckpoint` to say. */
@Injectable()
export class Published {
  /** What is published stays so: a size that was reached once need not be asked for again. */
  private reached = -1;

  constructor(private readonly db: ReadDb) {}

  /** @returns null when nothing was published yet */
  async newest(): Promise<PublishedCheckpoint | null> {
    const [newest] = await this.page(Number.MAX_SAFE_INTEGER, 1);
    if (newest) this.reached = Math.max(this.reached, newest.size);
    return newest ?? null;
  }

  /** Whether a tree of that many entries is published. */
  async reaches(size: number): Promise<boolean> {
    return size <= this.reached || size <= ((await this.newest())?.size ?? -1);
  }

  /** The smallest published checkpoint of more than that many entries; null when there is none. */
  async firstAfter(size: number): Promise<PublishedCheckpoint | null> {
    const [first] = await this.db.query<PublishedCheckpoint>(
      `SELECT ${COLUMNS} FROM published WHERE size > ? ORDER BY size LIMIT 1`,
      [size],
    );
    return first ?? null;
  }

  /** Published checkpoints of fewer than `before` entries, largest first. */
  page(before: number, limit: number): Promise<PublishedCheckpoint[]> {
    return this.db.query<PublishedCheckpoint>(
      `SELECT ${COLUMNS} FROM published WHERE size < ? ORDER BY size DESC LIMIT ?`,
      [before, limit],
    );
  }
}
