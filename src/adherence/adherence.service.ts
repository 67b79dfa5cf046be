import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { RefusalException } from '../http/problem/problem.js';
import type { By } from '../http/write/by.js';
import { existing, record, type Recorded, recordOn } from '../http/write/record.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Decision } from '../ledger/model.js';
import { patientModel } from '../patient/chain-model.js';
import type { Context } from '../prescription/context.js';
import type { Medication } from '../prescription/events.js';
import { prescriptionModel, supplyModel } from '../prescription/chain-models.js';
import type { Prescription, Supply } from '../prescription/state.js';
import {
  type CorrectDose,
  decideDoseCorrected,
  decideDoseSkipped,
  decideDoseTaken,
  type DoseChain,
  type SkipDose,
  type TakeDose,
} from './decide.js';

interface Said {
  /** Null: one is made. */
  readonly doseId: string | null;
  /** Null: at the instant it is recorded. */
  readonly at: string | null;
}
/** What a patient says about a dose. */
export type NewDose = Said &
  (
    | ({ readonly outcome: 'taken' } & Pick<TakeDose, 'quantity'>)
    | ({ readonly outcome: 'skipped' } & Pick<SkipDose, 'reason'>)
  );

/** What patients say about their doses. */
@Injectable()
export class AdherenceService {
  constructor(private readonly writer: LedgerWriter) {}

  /** A dose of what a prescription orders. */
  record(by: By, prescription: string, dose: NewDose): Promise<Recorded<Prescription>> {
    const said = named(dose);
    return recordOn(this.writer, by, prescriptionModel, prescription, (rx, context) =>
      decideDose(rx, said, null, context),
    );
  }

  /**
   * A dose of a medicine without a prescription.
   * @param supply null: a new one is opened
   */
  async recordSupplied(
    by: By,
    supply: string | null,
    medication: Medication,
    dose: NewDose,
  ): Promise<Recorded<Supply>> {
    const said = named(dose);
    if (supply !== null) {
      return recordOn(this.writer, by, supplyModel, supply, (state, context) =>
        decideDose(state, said, medication, context),
      );
    }
    const { patient } = by.actor;
    if (patient === null) throw new RefusalException({ code: 'access.forbidden', facts: {} });
    return record(
      this.writer,
      by,
      [
        { id: randomUUID(), model: supplyModel, mode: 'new', subject: { subject: patient } },
        // Whoever was erased may still have a token elsewhere: nothing is opened for a patient who is not there.
        existing(patientModel, patient),
      ],
      ([state], context) => decideDose(state, said, medication, context),
    );
  }

  correct(by: By, prescription: string, command: CorrectDose): Promise<Recorded<Prescription>> {
    return recordOn(this.writer, by, prescriptionModel, prescription, (rx, context) =>
      decideDoseCorrected(rx, command, context),
    );
  }

  correctSupplied(by: By, supply: string, command: CorrectDose): Promise<Recorded<Supply>> {
    return recordOn(this.writer, by, supplyModel, supply, (state, context) =>
      decideDoseCorrected(state, command, context),
    );
  }
}

/** The id is made once: a decision may be asked for again. */
function named(dose: NewDose): NewDose & { readonly doseId: string } {
  return { ...dose, doseId: dose.doseId ?? randomUUID() };
}

function decideDose(
  chain: DoseChain,
  said: NewDose & { readonly doseId: string },
  medication: Medication | null,
  ctx: Context,
): Decision {
  const dose = { doseId: said.doseId, at: said.at ?? new Date(ctx.now).toISOString(), medication };
  return said.outcome === 'taken'
    ? decideDoseTaken(chain, { ...dose, quantity: said.quantity }, ctx)
    : decideDoseSkipped(chain, { ...dose, reason: said.reason }, ctx);
}
