import type { DecidedBatch } from './decided-batch.js';
import { HeadCache } from './head-cache.js';
import type { Store } from '../store/store.js';
import { loadTip, type Tip } from '../store/tip.js';
import type { Vault } from '../keys/vault.js';
import { LedgerUnavailable } from '../unavailable.js';

/**
 * What this process keeps in memory of the log: its tip, and the heads of chains as they are at that tip. Whatever is
 * decided rests on it, so it runs ahead of the database by the batch that is being written.
 */
export class KnownLog {
  readonly cache: HeadCache;
  private known: Tip | null = null;
  /** A batch was not written: others may have changed the log since {@link tip}. */
  private behind = false;
  private failures = 0;

  constructor(
    private readonly store: Store,
    vault: Vault,
    /** Decrypted chain heads kept in memory. */
    private readonly cached: number,
  ) {
    this.cache = new HeadCache(store.db, vault, cached);
  }

  /** The tip to build on; null when it has to be read first. */
  get tip(): Tip | null {
    return this.behind ? null : this.known;
  }

  /** Changes when a batch fails: what was decided on the state that it would have left counts for nothing. */
  get epoch(): number {
    return this.failures;
  }

  /** From here on decisions rest on what the batch leaves. Take it back when it is not written after all. */
  buildOn({ after, staging }: DecidedBatch): void {
    this.known = after;
    this.cache.put(staging);
  }

  /**
   * Takes back a batch that was not written. What is in memory then was right at its `before` and stays; what others
   * changed since is looked for before the next batch.
   */
  retract({ before, staging }: DecidedBatch): void {
    this.failures++;
    this.known = before;
    this.behind = true;
    this.cache.retract(staging);
  }

  /** Drops everything; the next batch reads it anew. */
  forget(): void {
    this.failures++;
    this.known = null;
    this.behind = false;
    this.cache.clear();
  }

  /**
   * Drops what others changed since our tip, and takes the new one. Without the head's lock others may go on meanwhile:
   * what is read after this may be newer than the tip. Then the compare-and-set on the tip fails, and this runs again
   * from there. So memory never holds a chain that was changed before the tip and is not as it was then.
   * @returns the tip to build on, and whether it is another than it was
   */
  async catchUp(): Promise<{ tip: Tip; moved: boolean }> {
    const before = this.known;
    const tip = await loadTip(this.store.db);
    if (!tip) throw new LedgerUnavailable('the log has no head');
    const grown = before ? tip.size - before.size : 0;
    const moved = before === null || grown !== 0 || !tip.root.equals(before.root);
    if (before && grown > 0 && grown <= this.cached) {
      await this.cache.dropSince(before.size);
    } else if (moved) {
      // To look for that many changes would cost more than to read anew.
      this.cache.clear();
      await this.cache.begin();
    }
    this.known = tip;
    this.behind = false;
    return { tip, moved };
  }
}
