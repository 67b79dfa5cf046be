import { Injectable } from '@nestjs/common';
import { relatedToChain } from '../chains/related-chains.js';
import type { AnsweredReceipt } from '../http/receipt.js';
import { AS_IF_ABSENT, RefusalException } from '../http/problem.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import type { Actor, CommittedEvent } from '../ledger/model.js';
import { Served } from './rounds-served.js';

/** Receipts asked for again, later than the write's own answer. */
@Injectable()
export class ReceiptsService {
  constructor(
    private readonly reader: LedgerReader,
    private readonly served: Served,
  ) {}

  /**
   * The receipt of an entry: in the newest witnessed tree when that holds it, otherwise in the tree of now. Payload and
   * salt go to those alone who said it, their organisation, and the patient whose order or supply it is about: reading
   * one's own is no access that would have to be recorded. What the log says of itself is everybody's.
   * @throws {RefusalException} `ledger.chain-unknown` when there is none or the actor has no relation to its chain
   */
  async read(actor: Actor, index: number): Promise<AnsweredReceipt> {
    const related = relatedToChain(actor, 'receipt.read');
    const [row] = await this.reader.db.query<{ kind: string }>(
      `SELECT c.kind FROM entry e JOIN chain c ON c.num = e.chain WHERE e.idx = ? AND (${related.text})`,
      [index, ...related.values],
    );
    if (!row) throw new RefusalException(AS_IF_ABSENT);
    const witnessed = await this.served.newestWitnessed();
    const tree = witnessed && index < witnessed.size ? witnessed : undefined;
    return {
      ...(await this.reader.receipt(index, { tree, disclose: (event) => maySeePayload(actor, event) })),
      state: tree ? 'witnessed' : 'committed',
    };
  }
}

/** Whether the payload of an event of a chain to which the actor is related is theirs to have. */
export function maySeePayload(actor: Actor, { kind, actor: author }: CommittedEvent): boolean {
  if (kind === 'log') return true;
  if (author.id === actor.id || (actor.org !== null && author.org === actor.org)) return true;
  // Their own chain holds what others say about them to others.
  return actor.patient !== null && (kind === 'prescription' || kind === 'supply');
}
