import { Injectable } from '@nestjs/common';
import { AS_IF_ABSENT, RefusalException } from '../../http/problem/problem.js';
import { LAST_OF_ALL } from '../../ledger/core/statements/chain-list-note.js';
import type { ChainPosition } from '../../ledger/core/statements/chain-head-note.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import type { Actor } from '../../ledger/model.js';
import { ChainHeadKey } from './chain-head-key.js';
import { listedChains, relatedToChain } from '../../access/related-chains.js';

/** The log of the moment at which something about its chains was so. */
export interface LogState {
  readonly size: number;
  /** The log's checkpoint of that size. */
  readonly checkpoint: string;
}

export interface ChainHeadAnswer extends LogState, ChainPosition {
  /** Signed note. */
  readonly note: string;
}

export interface ChainListAnswer extends LogState {
  /** A patient's or an organisation's id. */
  readonly owner: string;
  readonly chains: readonly ChainPosition[];
  /** Signed note. */
  readonly note: string;
  /** Where the next page begins; null at the end. */
  readonly next: string | null;
}

interface Row {
  size: number;
  checkpoint: string;
  id: string | null;
  seq: number;
  leaf: Buffer;
}

/**
 * Says where chains stand, signed, so that whoever holds receipts sees what is kept from them. Each answer is read in
 * ONE statement, so that its heads and its log size are of one moment. Reading it is not recorded as access: it tells
 * how long a chain is and nothing that happened.
 */
@Injectable()
export class ChainsService {
  constructor(
    private readonly reader: LedgerReader,
    private readonly key: ChainHeadKey,
  ) {}

  get vkey(): string {
    return this.key.vkey;
  }

  /**
   * An erased chain has lost all relations; its head, which is its erasure, only an auditor still gets.
   * @throws {RefusalException} `ledger.chain-unknown` when there is none or the actor has no relation to it
   */
  async head(actor: Actor, id: string): Promise<ChainHeadAnswer> {
    const related = relatedToChain(actor, 'chain.head');
    const [row] = await this.reader.db.query<Row>(
      `SELECT h.size, h.checkpoint, c.id, c.seq, c.leaf FROM log_head h JOIN chain c ON c.id = ? AND (${related.text})`,
      [id, ...related.values],
    );
    const position = row && positionOf(row);
    if (!row || !position) throw new RefusalException(AS_IF_ABSENT);
    const { size, checkpoint } = row;
    return { ...position, size, checkpoint, note: this.key.head({ ...position, size }) };
  }

  /**
   * The actor's chains in the order of their ids, complete for the range that the note names. Erased ones are not
   * among them: what made them the actor's is erased too.
   * @param after the range begins beyond this chain id; `BEFORE_ALL` at first
   * @param limit most chains of one answer
   */
  async list(actor: Actor, after: string, limit: number): Promise<ChainListAnswer> {
    const owner = actor.patient ?? actor.org;
    if (owner === null) throw new RefusalException({ code: 'access.forbidden', facts: {} });
    const related = listedChains(actor);
    const rows = await this.reader.db.query<Row>(
      `SELECT h.size, h.checkpoint, l.id, l.seq, l.leaf FROM log_head h LEFT JOIN (
         SELECT c.id, c.seq, c.leaf FROM chain c WHERE c.num IN (${related.text}) AND c.id > ? ORDER BY c.id LIMIT ?
       ) l ON 1 = 1 ORDER BY l.id`,
      [...related.values, after, limit + 1],
    );
    const [first] = rows;
    if (!first) throw new Error('the log has no head');
    const { size, checkpoint } = first;
    const chains = rows.slice(0, limit).flatMap((row) => positionOf(row) ?? []);
    const next = rows.length > limit ? (chains.at(-1)?.chain ?? null) : null;
    const note = this.key.list({ owner, after, through: next ?? LAST_OF_ALL, size, chains });
    return { owner, size, checkpoint, chains, note, next };
  }
}

function positionOf({ id, seq, leaf }: Row): ChainPosition | null {
  return id === null ? null : { chain: id, seq, leaf };
}
