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
 * Compares the published checkpoints with the tree while it is rebuilt: each is signed by the log's key of then, or by
 * both where it was replaced, and signs the tree of its size, none is beyond the head, and each names the size of the one before.
 *
 * What that shows and what not: a row taken out from between two others leaves a gap. The newest ones taken out
 * leave none, nor does a gap whose neighbour was mended: only who has seen the checkpoint, an auditor or a witness,
 * knows that it was published. When a row was published is the server's word alone.
 */
export class PublishedAudit {
  private readonly rows: Row[] = [];
  private last = NONE;

  constructor(
    private readonly db: Db,
    private readonly signersAt: (size: number) => readonly string[],
    private readonly findings: Findings,
  ) {}

  /** Reads the checkpoints of more than `from` and at most `to` entries. Call it before the tree grows there, in order. */
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

  /** Rows that no size of the tree met. */
  async finish(size: number): Promise<void> {
    const beyond = await this.db.query<{ size: unknown }>(
      'SELECT size FROM published WHERE size > ? OR size < 0 ORDER BY size LIMIT 50',
      [size],
    );
    for (const row of beyond)
      this.findings.add('tampered', 'published', { size: integer(row.size) }, 'stands beyond the log head');
    await this.checkServed(size);
  }

  /** Nothing smaller than what was served once is served again: a size that is never reached would silence the log. */
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
