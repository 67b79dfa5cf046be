import { ReadDb } from '../../ledger/read/read-db.js';
import {
  firstPublishedAfter,
  NONE_PUBLISHED,
  publishedBefore,
  type PublishedCheckpoint,
} from '../../ledger/rows/published.js';
import { Injectable } from '@nestjs/common';

/** The published checkpoints. Which of them is served is for `ServedCheckpoint` to say. */
@Injectable()
export class Published {
  /** What is published stays so: a size that was reached once need not be asked for again. */
  private reached = NONE_PUBLISHED;

  constructor(private readonly db: ReadDb) {}

  /** @returns null when nothing was published yet */
  async newest(): Promise<PublishedCheckpoint | null> {
    const [newest] = await this.page(Number.MAX_SAFE_INTEGER, 1);
    if (newest) this.reached = Math.max(this.reached, newest.size);
    return newest ?? null;
  }

  /** Whether a tree of that many entries is published. */
  async reaches(size: number): Promise<boolean> {
    return size <= this.reached || size <= ((await this.newest())?.size ?? NONE_PUBLISHED);
  }

  /** The smallest published checkpoint of more than that many entries; null when there is none. */
  firstAfter(size: number): Promise<PublishedCheckpoint | null> {
    return firstPublishedAfter(this.db, size);
  }

  /** Published checkpoints of fewer than `before` entries, largest first. */
  page(before: number, limit: number): Promise<PublishedCheckpoint[]> {
    return publishedBefore(this.db, before, limit);
  }
}
