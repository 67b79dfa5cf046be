import { Injectable, Logger } from '@nestjs/common';
import type { Db } from '../database/db.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { faultOf } from '../queue/fault.js';

/** Marks are gathered for so long, ms: each write of them costs the writer an fsync. */
const GATHER_MS = 200;
/** Marks in one statement. */
const PAGE = 500;

/**
 * Up to which seq each chain was judged: what the sweep compares with the ledger. Marks are written a moment
 * later and together. One that is lost with its process only makes the sweep judge that book again.
 */
@Injectable()
export class JudgedMarks {
  private readonly logger = new Logger('Reconciliation');
  private waiting = new Map<number, number>();
  private timer: NodeJS.Timeout | null = null;
  private closed = false;

  constructor(private readonly writer: LedgerWriter) {}

  /** @param marks seq by chain number */
  mark(marks: ReadonlyMap<number, number>): void {
    for (const [chain, seq] of marks) this.waiting.set(chain, Math.max(seq, this.waiting.get(chain) ?? -1));
    if (this.waiting.size > 0 && !this.closed) this.timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Writes the last marks; what comes later is left to the sweep of another process. */
  async close(): Promise<void> {
    this.closed = true;
    await this.flush();
  }

  /** Writes what is gathered. Never throws: what cannot be written now is kept for the next time. */
  async flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    // In one order, so that two processes that mark the same chains wait for each other instead of both.
    const marks = [...this.waiting].toSorted(([a], [b]) => a - b);
    this.waiting = new Map();
    for (let at = 0; at < marks.length; at += PAGE) {
      const page = marks.slice(at, at + PAGE);
      try {
        await this.writer.side((db) =>
          // SQL: a repository takes twice as long for a page, and the writer's batches wait.
          db.query(
            `INSERT INTO judged (chain, seq) VALUES ${page.map(() => '(?, ?)').join(', ')}
             ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq WHERE judged.seq < excluded.seq`,
            page.flat(),
          ),
        );
      } catch (error) {
        this.logger.warn(`marks of judged chains wait: ${faultOf(error)}`);
        this.mark(new Map(page));
      }
    }
  }
}

/** Entries that nobody has judged yet, in log order: those at `from` and later, before `until`. */
export function unjudged(
  db: Db,
  from: number,
  until: number,
  limit: number,
): Promise<{ idx: number; subject: number }[]> {
  return db.query(
    `SELECT e.idx, c.subject FROM entry e JOIN chain c ON c.num = e.chain LEFT JOIN judged j ON j.chain = e.chain
     WHERE e.idx >= ? AND e.idx < ? AND c.kind IN ('prescription', 'supply') AND (j.seq IS NULL OR j.seq < e.seq)
     ORDER BY e.idx LIMIT ?`,
    [from, until, limit],
  );
}

/** How many chains have entries that nobody has judged yet; it reads all of them. */
export async function countUnjudged(db: Db): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    `SELECT count(*) AS n FROM chain c LEFT JOIN judged j ON j.chain = c.num
     WHERE c.kind IN ('prescription', 'supply') AND (j.seq IS NULL OR j.seq < c.seq)`,
  );
  return row?.n ?? 0;
}
