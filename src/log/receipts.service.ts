import { Injectable } from '@nestjs/common';
import { relatedToChain } from '../access/related-chains.js';
import type { AnsweredReceipt } from '../http/write/receipt-schema.js';
import { AS_IF_ABSENT, RefusalException } from '../http/problem/problem.js';
import { may } from '../identity/guard/policy.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { ReadDb } from '../ledger/read/read-db.js';
import type { Actor, CommittedEvent } from '../ledger/model.js';
import { ServedCheckpoint } from './checkpoints/served.js';

/** Gives receipts again, later than the answer to the write. */
@Injectable()
export class ReceiptsService {
  constructor(
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly served: ServedCheckpoint,
  ) {}

  /**
   * The receipt of an entry: in the newest witnessed tree when that holds it, otherwise in the current tree. Payload
   * and salt go only to the author, the author's organisation, and the patient whose order or supply it is about. They
   * read their own data, so nothing is recorded as access. Payloads of the log chain are public. Authors need no other
   * relation to the chain: they got the receipt with the answer to the write.
   * @throws {RefusalException} `ledger.chain-unknown` when there is none or the actor has no relation to it
   */
  async read(actor: Actor, index: number): Promise<AnsweredReceipt> {
    const related = relatedToChain(actor, 'receipt.read');
    const [row] = await this.db.query<{ related: unknown }>(
      `SELECT ${flag(related.text)} AS related FROM entry e JOIN chain c ON c.num = e.chain WHERE e.idx = ?`,
      [...related.values, index],
    );
    if (!row) throw new RefusalException(AS_IF_ABSENT);
    const witnessed = await this.served.newestWitnessed();
    const tree = witnessed && index < witnessed.size ? witnessed : undefined;
    let wrote = false;
    const disclose = (event: CommittedEvent): boolean => {
      wrote = isAuthor(actor, event);
      return maySeePayload(actor, event);
    };
    const receipt = await this.reader.receipt(index, { tree, disclose });
    if (row.related !== 1 && !(wrote && may(actor.role, 'receipt.read', ['author'])))
      throw new RefusalException(AS_IF_ABSENT);
    return { ...receipt, state: tree ? 'witnessed' : 'committed' };
  }
}

/** A condition as a number, which both engines give alike. */
const flag = (condition: string): string => `CASE WHEN ${condition} THEN 1 ELSE 0 END`;

/** Whether the actor, or somebody of the same organisation, wrote the event. */
function isAuthor({ id, org }: Actor, { actor: author }: CommittedEvent): boolean {
  return author.id === id || (org !== null && author.org === org);
}

/** Whether the actor may have the payload of an event. The actor must be related to its chain. */
export function maySeePayload(actor: Actor, event: CommittedEvent): boolean {
  const { kind } = event;
  if (kind === 'log' || isAuthor(actor, event)) return true;
  // A patient's own chain is left out: it holds statements about the patient that are meant for others.
  return actor.patient !== null && (kind === 'prescription' || kind === 'supply');
}
