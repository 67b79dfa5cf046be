import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../../http/problem/problem.js';
import type { ChainPosition } from '../../ledger/core/statements/chain-head-note.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import type { Actor } from '../../ledger/model.js';
import { ChainHeadKey } from './chain-head-key.js';
import { relatedToChain } from '../../access/related-chains.js';

export interface ChainHeadAnswer extends ChainPosition {
  /** Number of entries of the log at that moment. */
  readonly size: number;
  /** The log's checkpoint of that size. */
  readonly checkpoint: string;
  /** Signed note. */
  readonly note: string;
}

interface Row {
  size: number;
  checkpoint: string;
  chain: string;
  seq: number;
  leaf: Buffer;
}

/**
 * Signs the last entry of a chain, so that holders of receipts notice entries that are hidden from them. ONE statement
 * reads each answer, so that head and log size belong to the same moment. This is not recorded as access: it tells only
 * how long the chain is.
 */
@Injectable()
export class ChainsService {
  constructor(
    private readonly db: ReadDb,
    private readonly key: ChainHeadKey,
  ) {}

  get vkey(): string {
    return this.key.vkey;
  }

  /**
   * An erased chain has lost all relations. Only an auditor still gets its head, which is its erasure.
   * @throws {RefusalException} `ledger.chain-unknown` when there is no such chain or the actor has no relation to it
   */
  async head(actor: Actor, id: string): Promise<ChainHeadAnswer> {
    const related = relatedToChain(actor, 'chain.head');
    const [row] = await this.db.query<Row>(
      `SELECT h.size, h.checkpoint, c.id AS chain, c.seq, c.leaf FROM log_head h
       JOIN chain c ON c.id = ? AND (${related.text})`,
      [id, ...related.values],
    );
    if (!row) throw new RefusalException(AS_IF_ABSENT);
    const { size, checkpoint, chain, seq, leaf } = row;
    return { chain, seq, leaf, size, checkpoint, note: this.key.head({ chain, seq, leaf, size }) };
  }
}
