import { randomBytes, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Config } from '../config/config.js';
import { RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { existing, record, type Recorded, recordOn } from '../http/write/record.js';
import { Organisations } from '../identity/organisations.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { refuse } from '../ledger/model.js';
import { patientModel } from '../patient/chain-model.js';
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

export type CancelByNumber = Omit<CancelOrder, 'name'> & {
  readonly number: string;
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

  /** @throws {RefusalException} also `access.forbidden` for whoever works at no practice, `prescription.pharmacy-unknown` */
  async issue(by: By, { number, id = randomUUID(), ...said }: NewOrder): Promise<Recorded<Prescription>> {
    const { actor } = by;
    const practice = actor.org === null ? null : await this.organisations.find(actor.org);
    if (practice?.kind !== 'practice') throw new RefusalException({ code: 'access.forbidden', facts: {} });
    await this.mustBePharmacy(said.nominatedPharmacy);
    const name = { issuer: practice.id, number: number ?? newOrderNumber() };
    const settings = { validityMonths: this.config.env.VALIDITY_MONTHS };
    return record(
      this.writer,
      by,
      [
        {
          name: orderName(name),
          // An early cancel or report may have opened the chain under a provisional subject: then it has the name.
          otherwise: { id, model: prescriptionModel, mode: 'new', subject: { subject: said.patient }, adopt: true },
          expect: 'absent',
        },
        existing(patientModel, said.patient),
      ],
      ([rx, patient], { chain, now }) => {
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
    );
  }

  /** Cancels a prescription by its id. */
  cancel(by: By, id: string, { reason, note }: Omit<CancelOrder, 'name'>): Promise<Recorded<Prescription>> {
    return recordOn(this.writer, by, prescriptionModel, id, (rx, context) =>
      decideCancel(rx, { reason, note, name: rx.name }, context),
    );
  }

  /** Cancels by the practice's order number, whether or not the order has arrived (rules.md EPS-12). */
  async cancelByNumber(
    by: By,
    { number, reason, note, id = randomUUID() }: CancelByNumber,
  ): Promise<Recorded<Prescription>> {
    if (by.actor.org === null) throw new RefusalException({ code: 'access.forbidden', facts: {} });
    const name = { issuer: by.actor.org, number };
    // Whose order it will be is not known yet.
    const otherwise = { id, model: prescriptionModel, mode: 'new', subject: { newSubject: randomUUID() } } as const;
    return record(this.writer, by, [{ name: orderName(name), otherwise }], ([rx], context) =>
      decideCancel(rx, { reason, note, name }, context),
    );
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
