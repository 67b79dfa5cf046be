import type { Db } from '../../database/db.js';
import { type Checkpoint, openCheckpoint } from '../core/tlog/checkpoint.js';

import { integer, text } from './cells.js';
import type { RebuiltTree } from './rebuilt-tree.js';
import type { Findings } from './report.js';

interface Row {
  readonly size: number;
  readonly previous: number;
  readonly checkpoint: Checkpoint | null;
}

/** Stands for the size before the first published checkpoint. */
const NONE = -1;

/**
 * Compares the published checkpoints with the tree while it is rebuilt. Each must sign the tree of its size and name
 * the size of the previous one; none may be beyond the head. The log's key at that size must have signed it, or both
 * keys when it was replaced there.
 *
 * A row removed between two others leaves a gap that shows. Removing the newest rows leaves no gap, nor does a removal
 * whose next row was edited to match. Then only whoever saw the checkpoint, an auditor or a witness, knows that it was
 * published. The time of publication is only the server's claim.
 */
export class PublishedAudit {
  private readonly rows: Row[] = [];
  private last = NONE;

  constructor(
    private readonly db: Db,
    private readonly signersAt: (size: number) => readonly string[],
    private readonly findings: Findings,
  ) {}

  /**
   * Reads the checkpoints of more than `from` and at most `to` entries. Call it, in order, before the tree grows past
   * `from`.
   */
  async read(from: number, to: number): Promise<void> {
    const rows = await this.db.query<Record<'size' | 'previous' | 'checkpoint', unknown>>(
      'SELECT size, previous, checkpoint FROM published WHERE size > ? AND size <= ? ORDER BY size',
      [from, to],
    );
    for (const row of rows) {
      const size = integer(row.size);
      this.rows.push({ size, previous: integer(row.previous), checkpoint: this.open(size, text(row.checkpoint)) });
    }
  }

  /** Call it at every size of the tree. */
  at(tree: RebuiltTree): void {
    const row = this.rows[0];
    if (row?.size !== tree.size) return;
    this.rows.shift();
    const { size, previous, checkpoint } = row;
    if (checkpoint && !Buffer.from(tree.root()).equals(checkpoint.root))
      this.findings.add('tampered', 'published', { size }, 'the entries do not give the root that was published');
    this.follows(size, previous);
  }

  /** Reports rows beyond the tree. */
  async finish(size: number): Promise<void> {
    const beyond = await this.db.query<{ size: unknown }>(
      'SELECT size FROM published WHERE size > ? OR size < 0 ORDER BY size LIMIT 50',
      [size],
    );
    for (const row of beyond)
      this.findings.add('tampered', 'published', { size: integer(row.size) }, 'stands beyond the log head');
    await this.checkServed(size);
  }

  /**
   * A checkpoint smaller than one already served is never served. A forged size that the log never reaches would
   * therefore silence it.
   */
  private async checkServed(size: number): Promise<void> {
    const rows = await this.db.query<{ size: unknown }>('SELECT size FROM served LIMIT 2');
    const [served = Number.NaN] = rows.map((row) => (typeof row.size === 'number' ? row.size : Number.NaN));
    if (rows.length !== 1 || !(Number.isInteger(served) && served >= NONE && served <= size))
      this.findings.add('tampered', 'served', {}, 'is not one size that the log has reached');
  }

  private open(size: number, note: string): Checkpoint | null {
    const wrong = (what: string): null => {
      this.findings.add('tampered', 'published', { size }, what);
      return null;
    };
    try {
      const [checkpoint] = this.signersAt(size).map((vkey) => openCheckpoint(note, vkey));
      return checkpoint?.size === size ? checkpoint : wrong('size is not the one that is signed');
    } catch {
      return wrong("checkpoint is not signed by the log's key");
    }
  }

  private follows(size: number, previous: number): void {
    if (previous !== this.last) {
      if (previous > this.last && previous < size)
        this.findings.add('missing', 'published', { size: previous }, 'a later one names it, but it is not there');
      else this.findings.add('tampered', 'published', { size }, 'previous is not the size of the one before');
    }
    this.last = size;
  }
}
