import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import type { Actor, ChainRef, Decision, Idempotency, Outcome } from '../ledger/model.js';
import { refuse } from '../ledger/model.js';
import { patientModel } from '../patient/chain-model.js';
import type { Context } from '../prescription/context.js';
import type { Medication } from '../prescription/events.js';
import { prescriptionModel, supplyModel } from '../prescription/chain-models.js';
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

/** What patients say about their doses. Position 0 of every outcome is the prescription or supply. */
@Injectable()
export class AdherenceService {
  constructor(private readonly writer: LedgerWriter) {}

  /** A dose of what a prescription orders. */
  record(actor: Actor, prescription: string, dose: NewDose, idempotency?: Idempotency): Promise<Outcome> {
    const said = named(dose);
    return this.commit(actor, onPrescription(prescription), idempotency, (chain, ctx) =>
      decideDose(chain, said, null, ctx),
    );
  }

  /**
   * A dose of a medicine without a prescription.
   * @param supply null: a chain of its own is opened
   */
  recordSupplied(
    actor: Actor,
    supply: string | null,
    medication: Medication,
    dose: NewDose,
    idempotency?: Idempotency,
  ): Promise<Outcome> {
    const said = named(dose);
    const subject = actor.patient === null ? {} : { subject: { subject: actor.patient } };
    const chain: ChainRef =
      supply === null ? { id: randomUUID(), model: supplyModel, mode: 'new', ...subject } : onSupply(supply);
    return this.commit(actor, chain, idempotency, (state, ctx) => decideDose(state, said, medication, ctx));
  }

  correct(actor: Actor, prescription: string, command: CorrectDose, idempotency?: Idempotency): Promise<Outcome> {
    return this.commit(actor, onPrescription(prescription), idempotency, (chain, ctx) =>
      decideDoseCorrected(chain, command, ctx),
    );
  }

  correctSupplied(actor: Actor, supply: string, command: CorrectDose, idempotency?: Idempotency): Promise<Outcome> {
    return this.commit(actor, onSupply(supply), idempotency, (chain, ctx) => decideDoseCorrected(chain, command, ctx));
  }

  private commit(
    actor: Actor,
    chain: ChainRef,
    idempotency: Idempotency | undefined,
    decide: (state: DoseChain, ctx: Context) => Decision,
  ): Promise<Outcome> {
    // A chain is opened for a patient who is there: who was erased may still have a token elsewhere.
    const patient: ChainRef[] =
      chain.mode === 'new' && actor.patient !== null
        ? [{ id: actor.patient, model: patientModel, mode: 'existing' }]
        : [];
    return this.writer.commit({
      actor,
      chains: [chain, ...patient],
      ...(idempotency && { idempotency }),
      decide: ({ states, now }) =>
        actor.patient === null
          ? refuse('access.forbidden')
          : decide(states[0] as DoseChain, { chain: chain.id, now, actor }),
    });
  }
}

const onPrescription = (id: string): ChainRef => ({ id, model: prescriptionModel, mode: 'existing' });
const onSupply = (id: string): ChainRef => ({ id, model: supplyModel, mode: 'existing' });

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
