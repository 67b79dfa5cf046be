/** What patients say about their doses. */
import { accept, refuse, type Decision, type Refusal } from '../ledger/model.js';
import { CLOCK_GRACE_MS, type Context } from '../prescription/context.js';
import type {
  DoseCorrected,
  DoseSkipped,
  DoseTaken,
  Medication,
  NewEventOf,
  Quantity,
} from '../prescription/events.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { isQuantity } from '../prescription/quantity.js';
import type { RefusalCode } from '../refusals/refusals.js';

/** Why a dose was not taken. */
export const SKIP_REASONS = [
  'forgot',
  'felt-well',
  'side-effect',
  'ran-out',
  'on-advice',
  'could-not-take',
  'did-not-want',
  'other',
] as const;

/** Why what was said about a dose is changed. */
export const CORRECTION_REASONS = [
  'wrong-time',
  'wrong-amount',
  'wrong-outcome',
  'wrong-medicine',
  'duplicate',
  'other',
] as const;

/** The prescription that the doses belong to, or the supply chain of a medicine without one (null: not opened yet). */
export type DoseChain = Prescription | Supply | null;

interface Dose {
  /** Fresh UUID. */
  readonly doseId: string;
  /** RFC 3339 UTC with milliseconds. */
  readonly at: string;
  /** What was taken; null on a prescription chain, whose order says it. */
  readonly medication: Medication | null;
}
export interface TakeDose extends Dose {
  readonly quantity: Quantity | null;
}
export interface SkipDose extends Dose {
  readonly reason: (typeof SKIP_REASONS)[number];
}
export interface CorrectDose {
  readonly doseId: string;
  readonly outcome: DoseCorrected['data']['outcome'];
  readonly at: string;
  readonly quantity: Quantity | null;
  readonly reason: (typeof CORRECTION_REASONS)[number];
}

/** @returns `dose.taken/1` */
export function decideDoseTaken(chain: DoseChain, command: TakeDose, ctx: Context): Decision<RefusalCode> {
  const { doseId, at, quantity, medication } = command;
  const patient = patientOf(chain, ctx);
  if (patient === null) return refuse('ledger.chain-unknown');
  const refusal = refusalOf(command, quantity, ctx) ?? refusalOfRepeat(chain, doseId);
  if (refusal) return { refusal };
  const taken: NewEventOf<DoseTaken> = {
    chain: ctx.chain,
    type: 'dose.taken/1',
    data: { doseId, at, quantity, patient, medication },
    derived: {},
    occurredAt: at,
  };
  return accept(taken);
}

/** @returns `dose.skipped/1` */
export function decideDoseSkipped(chain: DoseChain, command: SkipDose, ctx: Context): Decision<RefusalCode> {
  const { doseId, at, reason, medication } = command;
  const patient = patientOf(chain, ctx);
  if (patient === null) return refuse('ledger.chain-unknown');
  const refusal = refusalOf(command, null, ctx) ?? refusalOfRepeat(chain, doseId);
  if (refusal) return { refusal };
  const skipped: NewEventOf<DoseSkipped> = {
    chain: ctx.chain,
    type: 'dose.skipped/1',
    data: { doseId, at, reason, patient, medication },
    derived: {},
    occurredAt: at,
  };
  return accept(skipped);
}

/**
 * Corrects what was said about a dose, or about a correction of it: a new event, the old ones stay.
 * @returns `dose.corrected/1`
 */
export function decideDoseCorrected(chain: DoseChain, command: CorrectDose, ctx: Context): Decision<RefusalCode> {
  const { doseId, outcome, at, quantity, reason } = command;
  if (patientOf(chain, ctx) === null) return refuse('ledger.chain-unknown');
  const refusal = refusalOf(command, quantity, ctx);
  if (refusal) return { refusal };
  if (!hasDose(chain, doseId)) return refuse('dose.unknown');
  const corrected: NewEventOf<DoseCorrected> = {
    chain: ctx.chain,
    type: 'dose.corrected/1',
    data: { doseId, outcome, at, quantity, reason },
    derived: {},
  };
  return accept(corrected);
}

/** The patient whose doses they are; null when they are not the actor's own: as if there were no such chain. */
function patientOf(chain: DoseChain, { actor }: Context): string | null {
  if (actor.role !== 'patient' || actor.patient === null) return null;
  if (chain === null) return actor.patient;
  const patient = 'order' in chain ? (chain.order?.patient ?? null) : chain.patient;
  return patient === actor.patient ? patient : null;
}

function refusalOf({ at }: { at: string }, quantity: Quantity | null, { now }: Context): Refusal<RefusalCode> | null {
  if (Date.parse(at) > now + CLOCK_GRACE_MS) return { code: 'dose.in-future', facts: {} };
  return quantity && !isQuantity(quantity) ? { code: 'quantity.invalid', facts: {} } : null;
}

function refusalOfRepeat(chain: DoseChain, doseId: string): Refusal<RefusalCode> | null {
  return hasDose(chain, doseId) ? { code: 'dose.duplicate', facts: {} } : null;
}

/** Among the doses that the state keeps. */
function hasDose(chain: DoseChain, doseId: string): boolean {
  return chain !== null && chain.doses.some((dose) => dose.doseId === doseId);
}
