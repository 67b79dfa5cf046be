import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config } from '../config/config.js';
import { RefusalException } from '../http/problem/problem.js';
import { Organisations } from '../identity/organisations.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { type Actor, type CommandSignature, type Idempotency, type Outcome, refuse } from '../ledger/model.js';
import { patientModel } from '../patient/chain-model.js';
import type { Patient } from '../patient/state.js';
import { localDate } from '../time/legal-days.js';
import { FORMULARY_VERSION, findDrug } from '../prescription/drugs/formulary.js';
import { orderName, prescriptionModel } from '../prescription/chain-models.js';
import type { Prescription } from '../prescription/state.js';
import { hashSecret, Secrets } from '../prescription/secrets.js';
import { type CancelOrder, decideCancel, decideIssue, type IssueOrder } from './decide.js';

export type NewOrder = Omit<IssueOrder, 'name' | 'tokenGeneration' | 'tokenHash'> & {
  /** The practice's own order number; null: one is made. */
  readonly number: string | null;
  /** Chain id that the caller proposes; absent: one is made. */
  readonly id?: string | undefined;
};

const FIRST_GENERATION = 1;

@Injectable()
export class PrescribingService {
  constructor(
    private readonly writer: LedgerWriter,
    private readonly organisations: Organisations,
    private readonly secrets: Secrets,
    private readonly config: Config,
  ) {}

  /** Position 0 of the outcome is the prescription. */
  async issue(
    actor: Actor,
    { number, id = randomUUID(), ...said }: NewOrder,
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    const practice = actor.org === null ? null : await this.organisations.find(actor.org);
    if (practice?.kind !== 'practice') throw new RefusalException({ code: 'access.forbidden', facts: {} });
    await this.mustBePharmacy(said.nominatedPharmacy);
    const name = { issuer: practice.id, number: number ?? newOrderNumber() };
    const settings = { validityMonths: this.config.env.VALIDITY_MONTHS };
    return this.writer.commit({
      actor,
      signature,
      chains: [
        {
          name: orderName(name),
          // An early cancel or report may have opened the chain under a provisional subject: then it has the name.
          otherwise: { id, model: prescriptionModel, mode: 'new', subject: { subject: said.patient }, adopt: true },
          expect: 'absent',
        },
        { id: said.patient, model: patientModel, mode: 'existing' },
      ],
      decide: ({ states, ids: [chain = id], now }) => {
        const [rx, patient] = states as [Prescription | null, Patient];
        if (patient.enrolledAt === null) return refuse('ledger.chain-unknown');
        const tokenHash = hashSecret(this.secrets.token(chain, FIRST_GENERATION));
        return decideIssue(
          rx,
          // Without a date it is today by the clock that records it, also around midnight.
          {
            name,
            tokenGeneration: FIRST_GENERATION,
            tokenHash,
            ...said,
            writtenOn: said.writtenOn ?? localDate(now, practice.zone),
          },
          { chain, now, actor, zone: practice.zone, findDrug, formularyVersion: FORMULARY_VERSION, settings },
        );
      },
      ...(idempotency && { idempotency }),
    });
  }

  /** Cancels a prescription by its id. */
  cancel(
    actor: Actor,
    id: string,
    { reason, note }: Omit<CancelOrder, 'name'>,
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    return this.writer.commit({
      actor,
      signature,
      chains: [{ id, model: prescriptionModel, mode: 'existing' }],
      ...(idempotency && { idempotency }),
      decide: ({ states, now }) => {
        const rx = states[0] as Prescription;
        return decideCancel(rx, { reason, note, name: rx.name }, { chain: id, now, actor });
      },
    });
  }

  /** Cancels by the practice's order number, whether or not the order has arrived (rules.md EPS-12). */
  cancelByNumber(
    actor: Actor,
    {
      number,
      reason,
      note,
      id = randomUUID(),
    }: Omit<CancelOrder, 'name'> & { number: string; id?: string | undefined },
    idempotency?: Idempotency,
    signature?: CommandSignature,
  ): Promise<Outcome> {
    if (actor.org === null) throw new RefusalException({ code: 'access.forbidden', facts: {} });
    const name = { issuer: actor.org, number };
    return this.writer.commit({
      actor,
      signature,
      chains: [
        {
          name: orderName(name),
          // Whose order it will be is not known yet.
          otherwise: { id, model: prescriptionModel, mode: 'new', subject: { newSubject: randomUUID() } },
        },
      ],
      ...(idempotency && { idempotency }),
      decide: ({ states, ids: [chain = id], now }) =>
        decideCancel(states[0] as Prescription | null, { reason, note, name }, { chain, now, actor }),
    });
  }

  /** What the patient shows at a pharmacy. */
  tokenOf(rx: Prescription): string | null {
    return rx.order?.tokenHash ? this.secrets.token(rx.id, rx.order.tokenGeneration) : null;
  }

  private async mustBePharmacy(id: string | null): Promise<void> {
    if (id === null) return;
    const organisation = await this.organisations.find(id);
    if (organisation?.kind !== 'pharmacy')
      throw new RefusalException({ code: 'prescription.pharmacy-unknown', facts: {} });
  }
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** 60 random bits in Crockford base32, in three groups: read out without mistakes. */
function newOrderNumber(): string {
  const letters = [...randomBytes(12)].map((byte) => CROCKFORD[byte % 32]).join('');
  return `${letters.slice(0, 4)}-${letters.slice(4, 8)}-${letters.slice(8)}`;
}
