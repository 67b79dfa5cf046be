import type { Receipt } from '../../ledger/core/record/receipt.js';
import { Injectable } from '@nestjs/common';
import { relatedToChain } from '../../access/related-chains.js';
import { AS_IF_ABSENT, answer, RefusalException } from '../../http/problem/problem.js';
import { Accounts } from '../../identity/accounts/accounts.js';
import { type Disclosure, disclose } from '../../ledger/core/record/disclosure.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import type { Actor, CommittedEvent, Idempotency, Outcome } from '../../ledger/model.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { maySeePayload } from '../receipts.service.js';
import { ServedCheckpoint } from '../checkpoints/served.js';
import { patientModel } from '../../patient/chain-model.js';
import type { Patient } from '../../patient/state.js';
import { decideClear, decideDisclose } from './decide.js';

export interface WantedMembers {
  readonly members: readonly string[];
  readonly reason: string;
}

/** An entry about a patient, and the chain on which stands who was given what of it. */
interface AboutPatient {
  readonly chain: string;
  /** Id of the patient chain; null when the patient is not enrolled. */
  readonly patient: string | null;
}

type Action = 'payload.disclose' | 'payload.clear';

/**
 * Gives members of a payload to whom they may be given. Who may have the payload in a receipt, may give parts of it
 * away or clear an auditor to take them. It is an event on the patient's chain before anything is answered (design 7).
 */
@Injectable()
export class DisclosureService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly reader: LedgerReader,
    private readonly accounts: Accounts,
    private readonly served: ServedCheckpoint,
  ) {}

  /** @throws {RefusalException} `ledger.chain-unknown` when there is no such entry for the actor, `disclosure.…` */
  async disclose(
    actor: Actor,
    index: number,
    { members, recipient, reason }: WantedMembers & { recipient: string | null },
    idempotency?: Idempotency,
  ): Promise<{ disclosure: Disclosure; receipts: readonly Receipt[] }> {
    const { chain, patient } = await this.entry(actor, 'payload.disclose', index);
    const receipt = await this.whole(actor, index);
    if (patient === null)
      throw new RefusalException(
        actor.role === 'auditor' ? AS_IF_ABSENT : { code: 'disclosure.no-patient', facts: {} },
      );
    const made = disclose(nodeHasher, receipt, members);
    const data = { index, chain, members: [...members].toSorted(), recipient, reason };
    const fault = 'fault' in made ? made.fault : null;
    const { receipts } = answer(
      await this.writer.commit({
        actor,
        chains: [{ id: patient, model: patientModel, mode: 'existing' }],
        ...(idempotency && { idempotency }),
        decide: ({ states, now }) =>
          decideDisclose(states[0] as Patient, { data, fault }, { chain: patient, now, actor }),
      }),
    );
    if ('fault' in made) throw new Error('a disclosure that cannot be made was recorded');
    return { disclosure: made.disclosure, receipts };
  }

  /**
   * Lets an auditor take these members for so many days.
   * @throws {RefusalException} as {@link disclose}; `disclosure.auditor-unknown`
   */
  async clear(
    actor: Actor,
    index: number,
    { members, auditor, reason, days }: WantedMembers & { auditor: string; days: number },
    idempotency?: Idempotency,
  ): Promise<Outcome> {
    const { chain, patient } = await this.entry(actor, 'payload.clear', index);
    const made = disclose(nodeHasher, await this.whole(actor, index), members);
    if (patient === null) throw new RefusalException({ code: 'disclosure.no-patient', facts: {} });
    const found = await this.accounts.find(auditor);
    if (found?.role !== 'auditor') throw new RefusalException({ code: 'disclosure.auditor-unknown', facts: {} });
    const data = { index, chain, members: [...members].toSorted(), auditor, reason };
    const fault = 'fault' in made ? made.fault : null;
    return this.writer.commit({
      actor,
      chains: [{ id: patient, model: patientModel, mode: 'existing' }],
      ...(idempotency && { idempotency }),
      decide: ({ now }) => decideClear({ data, days, fault }, { chain: patient, now, actor }),
    });
  }

  /**
   * Auditors are related to no chain: what they were cleared for, the decision says. A provisional patient may have a
   * chain, but nobody who sees it: a patient chain of somebody enrolled has a row.
   */
  private async entry(actor: Actor, action: Action, index: number): Promise<AboutPatient> {
    const related = actor.role === 'auditor' ? { text: '1 = 1', values: [] } : relatedToChain(actor, action);
    const [row] = await this.reader.db.query<AboutPatient>(
      `SELECT c.id AS chain, p.id AS patient FROM entry e JOIN chain c ON c.num = e.chain
       LEFT JOIN subject s ON s.num = c.subject
       LEFT JOIN (patient_row r JOIN chain p ON p.num = r.chain) ON p.id = s.id
       WHERE e.idx = ? AND c.kind IN ('prescription', 'supply') AND (${related.text})`,
      [index, ...related.values],
    );
    if (!row) throw new RefusalException(AS_IF_ABSENT);
    return row;
  }

  /** The receipt with payload and salt, in the newest witnessed tree that holds the entry, else in the tree of now. */
  private async whole(actor: Actor, index: number): Promise<Receipt> {
    const witnessed = await this.served.newestWitnessed();
    const tree = witnessed && index < witnessed.size ? witnessed : undefined;
    const mayHave = (event: CommittedEvent): boolean => actor.role === 'auditor' || maySeePayload(actor, event);
    const receipt = await this.reader.receipt(index, { tree, disclose: mayHave });
    // Erased, or written by others.
    if (receipt.payload === undefined) throw new RefusalException(AS_IF_ABSENT);
    return receipt;
  }
}
