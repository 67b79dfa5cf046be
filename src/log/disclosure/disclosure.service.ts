import { ReadDb } from '../../ledger/read/read-db.js';
import { Injectable } from '@nestjs/common';
import { relatedToChain } from '../../access/related-chains.js';
import { AS_IF_ABSENT, answer, RefusalException } from '../../http/problem/problem.js';
import { Accounts } from '../../identity/accounts/accounts.js';
import { may } from '../../identity/guard/policy.js';
import { type Disclosure, disclose } from '../../ledger/core/record/disclosure.js';
import type { Receipt } from '../../ledger/core/record/receipt.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { Actor, CommittedEvent, Idempotency } from '../../ledger/model.js';
import { AccessLog } from '../../patient/access-log.js';
import { patientModel } from '../../patient/chain-model.js';
import type { AccessDisclosed } from '../../patient/state.js';
import { ServedCheckpoint } from '../checkpoints/served.js';
import { maySeePayload } from '../receipts.service.js';
import { decideDisclose } from './decide.js';

export interface WantedDisclosure {
  readonly members: readonly string[];
  readonly reason: string;
  /** The recipient in words; null: the auditor. */
  readonly recipient: string | null;
  /** Account or client id; null: the recipient gets it. */
  readonly auditor: string | null;
}

/** A disclosure that an auditor may read here. */
export interface AddressedDisclosure {
  /** Log index of the event that records it. */
  readonly id: number;
  readonly at: string;
  readonly by: { readonly id: string; readonly role: string; readonly org: string | null };
  /** Log index of the entry. */
  readonly index: number;
  readonly members: readonly string[];
  readonly reason: string;
}

export interface DisclosurePage {
  readonly items: AddressedDisclosure[];
  readonly next: string | null;
}

/** An entry about a patient, with the chain that records its disclosures. */
interface AboutPatient {
  readonly chain: string;
  /** Id of the patient chain; null when the patient is not enrolled. */
  readonly patient: string | null;
}

/**
 * Discloses members of a payload. Whoever may have the payload in a receipt may pass on parts of it, to somebody
 * outside or to an auditor. The auditor lists and reads them here. An event on the patient's chain records this before
 * the answer is sent (design 7).
 */
@Injectable()
export class DisclosureService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly accounts: Accounts,
    private readonly accessLog: AccessLog,
    private readonly served: ServedCheckpoint,
  ) {}

  /** @throws {RefusalException} `ledger.chain-unknown` when there is no such entry for the actor, `disclosure.…` */
  async disclose(
    actor: Actor,
    index: number,
    { members, recipient, auditor, reason }: WantedDisclosure,
    idempotency?: Idempotency,
  ): Promise<{ disclosure: Disclosure; receipts: readonly Receipt[] }> {
    const { chain, patient } = await this.entry(actor, index);
    const receipt = await this.whole(index, (event) => maySeePayload(actor, event));
    if (patient === null) throw new RefusalException({ code: 'disclosure.no-patient', facts: {} });
    if (auditor !== null && (await this.accounts.find(auditor))?.role !== 'auditor')
      throw new RefusalException({ code: 'disclosure.auditor-unknown', facts: {} });
    const made = disclose(nodeHasher, receipt, members);
    const data = { index, chain, members: [...members].toSorted(), recipient, auditor, reason };
    const fault = 'fault' in made ? made.fault : null;
    const { receipts } = answer(
      await this.writer.commit({
        actor,
        chains: [{ id: patient, model: patientModel, mode: 'existing' }],
        ...(idempotency && { idempotency }),
        decide: () => decideDisclose({ data, fault }, { chain: patient }),
      }),
    );
    if ('fault' in made) throw new Error('a disclosure that cannot be made was recorded');
    return { disclosure: made.disclosure, receipts };
  }

  /**
   * The disclosures addressed to the actor, newest first. They hold nothing clinical: {@link read} shows the members.
   * @param after `next` of the previous page
   */
  async list(actor: Actor, { after, limit }: { after?: string; limit: number }): Promise<DisclosurePage> {
    if (!may(actor.role, 'disclosure.read', ['addressed'])) return { items: [], next: null };
    const position = after === undefined ? [] : after.split('.').map(Number);
    const rows = await this.db.query<{ chain: number; seq: number; disclosed_at: number; idx: number }>(
      `SELECT d.chain, d.seq, d.disclosed_at, e.idx FROM disclosure_row d
       JOIN entry e ON e.chain = d.chain AND e.seq = d.seq
       WHERE d.auditor = ? ${position.length === 0 ? '' : 'AND (d.disclosed_at, d.chain, d.seq) < (?, ?, ?)'}
       ORDER BY d.disclosed_at DESC, d.chain DESC, d.seq DESC LIMIT ?`,
      [actor.id, ...position, limit],
    );
    const events = await this.reader.eventsAt(rows.map(({ idx }) => idx));
    const byIndex = new Map(events.map((event) => [event.index, event]));
    const items = rows.flatMap(({ idx }) => {
      const event = byIndex.get(idx);
      return event ? [addressed(event)] : [];
    });
    const last = rows.length === limit ? rows.at(-1) : undefined;
    return { items, next: last ? `${last.disclosed_at}.${last.chain}.${last.seq}` : null };
  }

  /**
   * A disclosure that is addressed to the actor. The read is recorded for the patient.
   * @param id log index of the event that records it
   * @throws {RefusalException} `ledger.chain-unknown` when there is none for the actor, or its patient was erased
   */
  async read(actor: Actor, id: number): Promise<{ disclosed: AddressedDisclosure; disclosure: Disclosure }> {
    const [row] = await this.db.query(
      `SELECT d.seq FROM entry e JOIN disclosure_row d ON d.chain = e.chain AND d.seq = e.seq
       WHERE e.idx = ? AND d.auditor = ?`,
      [id, actor.id],
    );
    const [event] = row && may(actor.role, 'disclosure.read', ['addressed']) ? await this.reader.eventsAt([id]) : [];
    if (!event) throw new RefusalException(AS_IF_ABSENT);
    const disclosed = addressed(event);
    const made = disclose(nodeHasher, await this.whole(disclosed.index, () => true), disclosed.members);
    if ('fault' in made) throw new Error('a disclosure that cannot be made was recorded');
    this.accessLog.record(actor, 'disclosure.read', event.chain, [dataOf(event).chain]);
    return { disclosed, disclosure: made.disclosure };
  }

  /** Only enrolled patients have a row. A provisional patient may have a chain, but nobody may read it. */
  private async entry(actor: Actor, index: number): Promise<AboutPatient> {
    const related = relatedToChain(actor, 'payload.disclose');
    const [row] = await this.db.query<AboutPatient>(
      `SELECT c.id AS chain, p.id AS patient FROM entry e JOIN chain c ON c.num = e.chain
       LEFT JOIN subject s ON s.num = c.subject
       LEFT JOIN (patient_row r JOIN chain p ON p.num = r.chain) ON p.id = s.id
       WHERE e.idx = ? AND c.kind IN ('prescription', 'supply') AND (${related.text})`,
      [index, ...related.values],
    );
    if (!row) throw new RefusalException(AS_IF_ABSENT);
    return row;
  }

  /** The receipt with payload and salt, in the newest witnessed tree that holds the entry, else in the current tree. */
  private async whole(index: number, mayHave: (event: CommittedEvent) => boolean): Promise<Receipt> {
    const witnessed = await this.served.newestWitnessed();
    const tree = witnessed && index < witnessed.size ? witnessed : undefined;
    const receipt = await this.reader.receipt(index, { tree, disclose: mayHave });
    // The payload was erased, or the actor may not have it.
    if (receipt.payload === undefined) throw new RefusalException(AS_IF_ABSENT);
    return receipt;
  }
}

const dataOf = ({ data }: CommittedEvent): AccessDisclosed['data'] => data as AccessDisclosed['data'];

function addressed(event: CommittedEvent): AddressedDisclosure {
  const { index, members, reason } = dataOf(event);
  const { id, role, org } = event.actor;
  return { id: event.index, at: event.recordedAt, by: { id, role, org }, index, members, reason };
}
