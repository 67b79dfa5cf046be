import { Inject, Injectable } from '@nestjs/common';
import { groupBy } from '../../ledger/core/group-by.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { PublishedCheckpoint } from '../../ledger/rows/published.js';
import { raiseServed, readServed } from '../../ledger/rows/served.js';
import { Published } from './published.js';
import { reaches, WITNESS_POLICY, type WitnessPolicy } from './witness-policy.js';
import { type Cosignature, readCosignatures } from './cosignatures.js';

/** A published checkpoint with the cosignatures of the policy's witnesses at its end. */
export interface CosignedCheckpoint extends PublishedCheckpoint {
  /** Whether they are the policy's quorum; false without a policy. */
  readonly witnessed: boolean;
}

/** Rows read together. A size that reaches the quorum got a cosignature just now, so it is among the newest. */
const PAGE = 1000;

/**
 * What the outside is served: with `WITNESS_POLICY` the newest published checkpoint at its quorum and nothing beyond,
 * otherwise the newest published one (design 3). Never fewer entries than any process has served before, under any
 * policy: monitors would take that for a log set back.
 */
@Injectable()
export class ServedCheckpoint {
  /** Largest size known to be at quorum: it stays so under this policy. */
  private size = -1;
  /** Largest size known to have been served; it is on the disk before it is served. */
  private floor = -1;
  private raising: Promise<void> | null = null;
  private searched = false;

  constructor(
    private readonly db: ReadDb,
    private readonly writer: LedgerWriter,
    private readonly published: Published,
    @Inject(WITNESS_POLICY) private readonly policy: WitnessPolicy | null,
  ) {}

  /**
   * @returns null when there is none yet, or this policy's quorum has not cosigned what was served under another one
   */
  async newest(): Promise<CosignedCheckpoint | null> {
    if (!this.policy) {
      const newest = await this.published.newest();
      if (newest) await this.raise(newest.size);
      return newest && { ...newest, witnessed: false };
    }
    await this.search(this.policy);
    const [newest] = this.size < Math.max(this.floor, 0) ? [] : await this.page(this.size + 1, 1);
    return newest ?? null;
  }

  /** The newest at quorum; null without a policy, or when there is none yet. */
  async newestWitnessed(): Promise<CosignedCheckpoint | null> {
    return this.policy ? this.newest() : null;
  }

  /** Whether a tree of that many entries is served. */
  async reaches(size: number): Promise<boolean> {
    if (!this.policy) return this.published.reaches(size);
    // What was served once is still asked for by whoever has that checkpoint.
    if (size > Math.max(this.size, this.floor)) await this.search(this.policy);
    return size <= Math.max(this.size, this.floor);
  }

  /** Published checkpoints of fewer than `before` entries, served already or not, largest first. */
  async page(before: number, limit: number): Promise<CosignedCheckpoint[]> {
    const rows = await this.published.page(before, limit);
    const [first, last] = [rows[0], rows.at(-1)];
    if (!this.policy || !first || !last) return rows.map((row) => ({ ...row, witnessed: false }));
    const lines = await readCosignatures(this.db, vkeysOf(this.policy), last.size, first.size);
    return rows.map((row) =>
      cosigned(
        this.policy!,
        row,
        lines.filter(({ size }) => size === row.size),
      ),
    );
  }

  /** Looks for a larger size at quorum: once among all, later among what was cosigned last. */
  private async search(policy: WitnessPolicy): Promise<void> {
    this.floor = Math.max(this.floor, await readServed(this.db));
    const from = Math.max(this.size + 1, this.floor);
    for (let to = Number.MAX_SAFE_INTEGER; ;) {
      const rows = await readCosignatures(this.db, vkeysOf(policy), from, to, PAGE);
      const bySize = groupBy(rows, ({ size }) => size);
      const sizes = [...bySize.keys()];
      const full = rows.length === PAGE;
      // The last size of a full page may have more rows: the next page begins with it.
      const found = (full ? sizes.slice(0, -1) : sizes).find((size) => atQuorum(policy, bySize.get(size) ?? []));
      if (found !== undefined) {
        await this.raise(found);
        this.size = Math.max(this.size, found);
      }
      if (found !== undefined || !full || this.searched) break;
      to = sizes.at(-1)!;
    }
    this.searched = true;
  }

  /** Anybody may ask, many at once: a size is stored once, whoever asks. */
  private async raise(size: number): Promise<void> {
    while (size > this.floor) {
      this.raising ??= this.store(size).finally(() => (this.raising = null));
      await this.raising;
    }
  }

  private async store(size: number): Promise<void> {
    await this.writer.side((db) => raiseServed(db, size));
    this.floor = Math.max(this.floor, size);
  }
}

/** @param rows of one size */
function atQuorum({ policy, witnesses }: WitnessPolicy, rows: readonly Cosignature[]): boolean {
  const cosigners = rows.map(({ witness }) => witness);
  return reaches(
    policy,
    witnesses.filter(({ vkey }) => cosigners.includes(vkey)),
  );
}

/** In the order of the policy, whatever order they came in. */
function cosigned(policy: WitnessPolicy, row: PublishedCheckpoint, rows: readonly Cosignature[]): CosignedCheckpoint {
  const lines = policy.witnesses.flatMap(({ vkey }) => rows.filter(({ witness }) => witness === vkey));
  return {
    ...row,
    checkpoint: row.checkpoint + lines.map(({ line }) => `${line}\n`).join(''),
    witnessed: atQuorum(policy, rows),
  };
}

function vkeysOf({ witnesses }: WitnessPolicy): string[] {
  return witnesses.map(({ vkey }) => vkey);
}
