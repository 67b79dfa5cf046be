/** What a pharmacy says about a handing-over afterwards: it is taken back, or it happened elsewhere (design 4). */
import { accept, refuse, type Decision } from '../ledger/model.js';
import { CLOCK_GRACE_MS, type Context } from '../prescription/context.js';
import type { DispenseReported, DispenseReversed, NewEventOf, SupplyMatched } from '../prescription/events.js';
import { evolvePrescription } from '../prescription/evolve.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { isQuantity } from '../prescription/quantity.js';
import { isClosed, isCustodian, isPastValidity, orgOf } from '../prescription/queries.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { relationsTo, relationsToSupply } from '../access/relations.js';
import { expireAll } from '../prescription/timer.js';
import { pendingCancel } from './decide.js';

/**
 * Most reports of one pharmacy on one chain, those that were taken back included. An order with all its refills and
 * parts needs far fewer. Each stays in the state that every later write of the chain decrypts and stores. The bound is
 * each pharmacy's own, so that none can use up what another needs.
 */
export const MOST_REPORTS = 100;

/** Why a recorded dispense does not stand. */
export const REVERSAL_REASONS = ['not-collected', 'wrong-entry', 'wrong-product', 'returned', 'other'] as const;

export interface ReverseDispense {
  readonly dispenseId: string;
  readonly reason: (typeof REVERSAL_REASONS)[number];
}

/**
 * Takes a dispense back: a compensating event, by the pharmacy that recorded it. Its issue returns to that pharmacy's
 * claim and a completed order is active again, unless its time is over or a cancel waits: then the issue ends with it.
 * If the order was cancelled or stopped since, only the dispense is taken back. A reported dispense may be
 * reversed too; no issue depends on it.
 * @returns `dispense.reversed/1`, followed by `issue.expired/1` or `order.cancelled/1` where one is due
 */
export function decideReverse(rx: Prescription, command: ReverseDispense, ctx: Context): Decision<RefusalCode> {
  const { dispenseId, reason } = command;
  const org = orgOf(ctx.actor, 'pharmacist');
  if (org === null) return refuse('access.forbidden');
  const dispense = rx.dispenses.find((one) => one.dispenseId === dispenseId);
  // A pharmacy that only reported a dispense may take back its own; the rest of the order does not exist for it.
  if (!isCustodian(rx, org) && dispense?.pharmacy !== org) return refuse('ledger.chain-unknown');
  if (!dispense) return refuse('dispense.unknown');
  if (dispense.pharmacy !== org) return refuse('dispense.other-pharmacy');
  if (dispense.reversed) return refuse('dispense.already-reversed');
  const reversed: NewEventOf<DispenseReversed> = {
    chain: ctx.chain,
    type: 'dispense.reversed/1',
    data: { dispenseId, reason },
    derived: {},
  };
  if (dispense.claim === null || dispense.issue === null) return accept(reversed);

  const issue = dispense.issue;
  const later = rx.issues.find(
    ({ number, status, claim }) => number > issue && (claim !== null || status === 'dispensed'),
  );
  if (later) return refuse('dispense.later-issue', { issue: later.number, state: later.status });
  const before = rx.issues[issue];
  const reopens = before !== undefined && isClosed(before) && (rx.status === 'active' || rx.status === 'completed');
  if (!reopens || !rx.order) return accept(reversed);
  if (rx.cancel) return accept(reversed, ...pendingCancel(rx, ctx.chain, 'dispense-reversed'));
  return isPastValidity(rx.order, ctx.now)
    ? accept(reversed, ...expireAll(reopened(rx, reversed, ctx), ctx.chain))
    : accept(reversed);
}

/** The state as the reversal leaves it, to see which issues its time is over for. */
function reopened(rx: Prescription, event: NewEventOf<DispenseReversed>, { now, actor }: Context): Prescription {
  const recordedAt = new Date(now).toISOString();
  return evolvePrescription(rx, { ...event, kind: 'prescription', seq: 0, actor, occurredAt: recordedAt, recordedAt });
}

/** Why it was not dispensed under a claim. */
export const REPORT_REASONS = ['outage', 'other-system', 'emergency-supply', 'late-entry', 'other'] as const;

export type ReportDispense = Omit<DispenseReported['data'], 'reason'> & {
  readonly reason: (typeof REPORT_REASONS)[number];
};

/**
 * Records what already happened, whatever rules it broke: reconciliation judges it. It closes no issue and takes
 * no claim.
 * @param state the prescription or supply chain that it goes to; null on a new chain
 * @returns `dispense.reported/1`
 */
export function decideReport(
  state: Prescription | Supply | null,
  command: ReportDispense,
  ctx: Context,
): Decision<RefusalCode> {
  const org = orgOf(ctx.actor, 'pharmacist');
  if (org === null) return refuse('access.forbidden');
  if (!isQuantity(command.quantity)) return refuse('quantity.invalid');
  if (Date.parse(command.whenHandedOver) > ctx.now + CLOCK_GRACE_MS) return refuse('dispense.in-future');
  if (state?.dispenses.some(({ dispenseId }) => dispenseId === command.dispenseId)) return refuse('dispense.duplicate');
  const told = state?.dispenses.filter(({ reported, pharmacy }) => reported && pharmacy === org).length ?? 0;
  if (told >= MOST_REPORTS) return refuse('dispense.too-many-reports', { most: MOST_REPORTS });
  const reported: NewEventOf<DispenseReported> = {
    chain: ctx.chain,
    type: 'dispense.reported/1',
    data: { ...command },
    derived: { pharmacy: org },
    occurredAt: command.whenHandedOver,
  };
  return accept(reported);
}

/**
 * Says that a supply was for this prescription. What was handed over stays where it was recorded: reconciliation
 * reads a prescription's book together with the supplies that are matched to it, so no second event tells it again.
 * @param rx what it is matched to; the actor needs a relation to both
 * @param ctx `chain` is the supply's
 * @returns `supply.matched/1`
 */
export function decideMatch(supply: Supply, rx: Prescription, ctx: Context): Decision<RefusalCode> {
  const { actor, chain } = ctx;
  const related = relationsToSupply(supply, actor).length > 0 && relationsTo(rx, actor).length > 0;
  if (!related || rx.order === null) return refuse('ledger.chain-unknown');
  if (supply.matchedTo !== null) return refuse('supply.already-matched', { prescription: supply.matchedTo });
  if (supply.patient !== null && supply.patient !== rx.order.patient) return refuse('supply.other-patient');
  const matched: NewEventOf<SupplyMatched> = {
    chain,
    type: 'supply.matched/1',
    data: { prescription: rx.id },
    derived: {},
  };
  return accept(matched);
}
