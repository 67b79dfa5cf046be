/** What a prescriber's practice may do to an order: issue it, bring its history, cancel it (design 4). */
import { accept, refuse, type Decision } from '../ledger/model.js';
import type { Context, DrugContext, IssueContext } from '../prescription/context.js';
import { localDate } from '../time/legal-days.js';
import type {
  Medication,
  NewEventOf,
  OrderCancelled,
  OrderCancelRequested,
  OrderImported,
  OrderIssued,
  OrderName,
  Quantity,
  Schedule,
} from '../prescription/events.js';
import { RXNORM } from '../prescription/drugs/formulary.js';
import type { Prescription } from '../prescription/state.js';
import { isQuantity } from '../prescription/quantity.js';
import { currentIssue, heldIssue, isPastValidity, orgOf } from '../prescription/queries.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { refillLimit, RULE_SET, RULE_SET_VERSION, validUntil } from '../prescription/rules/us-federal.js';

/** An order as the prescriber wrote it. What may be missing on paper may be null here: the refusal names it. */
export interface IssueOrder {
  readonly name: OrderName;
  /** Patient chain id. */
  readonly patient: string;
  readonly medication: Medication | null;
  readonly directions: string | null;
  /** For one issue. */
  readonly quantity: Quantity | null;
  /** Days that one issue's quantity lasts; a whole number greater than zero. */
  readonly daysSupply: number | null;
  /** A whole number from zero. */
  readonly refills: number;
  readonly substitutionAllowed: boolean;
  /** Legal date, YYYY-MM-DD in the practice's zone. */
  readonly writtenOn: string | null;
  readonly earliestFillOn: string | null;
  /** Organisation id. */
  readonly nominatedPharmacy: string | null;
  readonly note: string | null;
  readonly tokenGeneration: number;
  /** base64 SHA-256 of the patient's token. */
  readonly tokenHash: string;
}

/**
 * @param rx null on a new chain; a chain that an early cancel or report opened has no order yet
 * @returns `order.issued/1`, followed by `order.cancelled/1` where an early cancel waits (rules.md EPS-12)
 */
export function decideIssue(rx: Prescription | null, command: IssueOrder, ctx: IssueContext): Decision<RefusalCode> {
  const { chain, now, actor, zone } = ctx;
  const { name, medication, directions, quantity, daysSupply, writtenOn } = command;
  if (orgOf(actor, 'prescriber') !== name.issuer) return refuse('access.forbidden');
  if (rx?.order) return refuse('prescription.number-taken');

  // 21 CFR 1306.05(a): each field that is missing is named.
  if (
    !medication ||
    isBlank(medication.code) ||
    isBlank(medication.display) ||
    isBlank(directions) ||
    !quantity ||
    !daysSupply ||
    !writtenOn
  ) {
    return refuse('prescription.incomplete', { missing: missingFields(command) });
  }
  if (!isQuantity(quantity)) return refuse('quantity.invalid');
  const today = localDate(now, zone);
  if (writtenOn !== today) return refuse('prescription.not-dated-today', { today, zone });

  const { schedule, ingredient } = known(medication, ctx);
  const limit = refillLimit(schedule);
  if (command.refills > limit) return refuse('prescription.too-many-refills', { schedule, limit });
  const lastDay = validUntil(schedule, writtenOn, ctx.settings.validityMonths);
  if (command.earliestFillOn !== null && command.earliestFillOn > lastDay) {
    return refuse('prescription.never-fillable', { validUntil: lastDay });
  }

  const issued: NewEventOf<OrderIssued> = {
    chain,
    type: 'order.issued/1',
    // Members in the order of canonical JSON: then nothing has to be sorted and copied on the way to the payload.
    data: {
      daysSupply,
      directions,
      earliestFillOn: command.earliestFillOn,
      issuer: name.issuer,
      medication,
      nominatedPharmacy: command.nominatedPharmacy,
      note: command.note,
      number: name.number,
      patient: command.patient,
      quantity,
      refills: command.refills,
      substitutionAllowed: command.substitutionAllowed,
      writtenOn,
    },
    derived: {
      formularyVersion: ctx.formularyVersion,
      ingredient,
      ruleSet: RULE_SET,
      ruleSetVersion: RULE_SET_VERSION,
      schedule,
      tokenGeneration: command.tokenGeneration,
      tokenHash: command.tokenHash,
      validUntil: lastDay,
      zone,
    },
  };
  return rx?.cancel ? accept(issued, cancelOnArrival(chain)) : accept(issued);
}

/** An order from another system's history. */
export interface ImportOrder extends Omit<OrderImported['data'], 'issuer' | 'number'> {
  readonly name: OrderName;
}

/**
 * Imported history is recorded as it is, whatever rules it breaks: a fact, not an offer.
 * @param rx null on a new chain; a chain that an early cancel or report opened has no order yet
 * @returns `order.imported/1`, followed by `order.cancelled/1` where an early cancel waits
 */
export function decideImport(
  rx: Prescription | null,
  { name, ...said }: ImportOrder,
  ctx: Omit<IssueContext, 'settings'>,
): Decision<RefusalCode> {
  if (ctx.actor.role !== 'system') return refuse('access.forbidden');
  if (rx?.order) return refuse('prescription.number-taken');
  if (said.quantity && !isQuantity(said.quantity)) return refuse('quantity.invalid');
  const imported: NewEventOf<OrderImported> = {
    chain: ctx.chain,
    type: 'order.imported/1',
    data: { issuer: name.issuer, number: name.number, ...said },
    derived: { zone: ctx.zone, ...known(said.medication, ctx), formularyVersion: ctx.formularyVersion },
  };
  return rx?.cancel ? accept(imported, cancelOnArrival(ctx.chain)) : accept(imported);
}

/** Why an order is cancelled. */
export const CANCEL_REASONS = [
  'prescribed-in-error',
  'clinical-change',
  'adverse-reaction',
  'allergy',
  'duplicate',
  'patient-request',
  'patient-deceased',
  'other',
] as const;

export interface CancelOrder {
  /** For an order that is not known yet; otherwise the order's own name counts. */
  readonly name: OrderName;
  readonly reason: (typeof CANCEL_REASONS)[number];
  readonly note: string | null;
}

/**
 * Takes effect at once, waits for the pharmacy that holds the order, or is kept for an order that is not known
 * yet. Each refusal has its own code (rules.md EPS-10, EPS-11).
 * @param rx null for an order that nobody has named yet
 * @returns `order.cancel-requested/1`, its `derived.effect` saying which
 */
export function decideCancel(rx: Prescription | null, command: CancelOrder, ctx: Context): Decision<RefusalCode> {
  const { reason, note } = command;
  const name = rx?.name ?? command.name;
  if (ctx.actor.role !== 'prescriber') return refuse('access.forbidden');
  if (ctx.actor.org !== name.issuer) return refuse('ledger.chain-unknown');
  const requested = (effect: OrderCancelRequested['derived']['effect']): Decision<RefusalCode> => {
    const event: NewEventOf<OrderCancelRequested> = {
      chain: ctx.chain,
      type: 'order.cancel-requested/1',
      data: { issuer: name.issuer, number: name.number, reason, note },
      derived: { effect },
    };
    return accept(event);
  };

  if (rx?.status === 'cancelled') return refuse('cancel.already-cancelled');
  if (rx?.status === 'completed') {
    const last = currentIssue(rx);
    return refuse(last?.status === 'not-dispensed' ? 'cancel.not-dispensed' : 'cancel.dispensed');
  }
  if (rx?.status === 'stopped') return refuse('cancel.expired');
  if (rx?.status === 'replaced' || rx?.status === 'entered-in-error') {
    return refuse('cancel.not-active', { status: rx.status });
  }
  if (rx?.cancel) return refuse('cancel.already-pending', { effect: rx.cancel.effect });
  if (!rx?.order) return requested('held');
  if (isPastValidity(rx.order, ctx.now)) return refuse('cancel.expired');
  return requested(heldIssue(rx) ? 'pending' : 'cancelled');
}

function cancelOnArrival(chain: string): NewEventOf<OrderCancelled> {
  return { chain, type: 'order.cancelled/1', data: {}, derived: { cause: 'arrived' } };
}

function known(
  { system, code }: Medication,
  { findDrug }: DrugContext,
): { schedule: Schedule; ingredient: string | null } {
  const drug = system === RXNORM ? findDrug(code) : null;
  return { schedule: drug?.schedule ?? null, ingredient: drug?.ingredient ?? null };
}

function missingFields({ medication, directions, quantity, daysSupply, writtenOn }: IssueOrder): string[] {
  const missing = {
    medication: !medication || isBlank(medication.code) || isBlank(medication.display),
    directions: isBlank(directions),
    quantity: !quantity,
    daysSupply: !daysSupply,
    writtenOn: !writtenOn,
  };
  return Object.entries(missing).flatMap(([field, isMissing]) => (isMissing ? [field] : []));
}

function isBlank(text: string | null): text is null {
  return text === null || text.trim() === '';
}
