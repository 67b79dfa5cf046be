// Longer than 300 lines: claim, dispense, release and close share their guards, and are compared side by side.
/** What a pharmacy does with an order: claim it, hand over, give it back, close it (design 4). */
import type { JsonObject } from '../ledger/core/record/event.js';
import { accept, refuse, type Actor, type Decision, type NewEvent } from '../ledger/model.js';
import { CLOCK_GRACE_MS, type Context, type DrugContext } from '../prescription/context.js';
import { localDate } from '../time/legal-days.js';
import type {
  DispenseClaimed,
  DispenseNotDispensed,
  DispenseRecorded,
  DispenseReleased,
  Medication,
  NewEventOf,
  OrderCancelled,
  Quantity,
} from '../prescription/events.js';
import { RXNORM } from '../prescription/drugs/formulary.js';
import type { Claim, Order, Prescription } from '../prescription/state.js';
import { add, compare, isMismatch, isQuantity, subtract } from '../prescription/quantity.js';
import {
  currentIssue,
  dispensedQuantity,
  heldIssue,
  type HeldIssue,
  isCustodian,
  isDue,
  isPastValidity,
  orgOf,
} from '../prescription/queries.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { mayFill } from '../prescription/rules/us-federal.js';
import { readied } from '../prescription/timer.js';

export interface ClaimIssue {
  /** Fresh UUID. */
  readonly claimId: string;
  /** base64 SHA-256 of the token that was shown; null: none was. */
  readonly tokenHash: string | null;
  /** base64 SHA-256 of the claim secret of this claim of an issue. Pure. */
  readonly secretHash: (issue: number) => string;
}

/**
 * What a pharmacy without a relation to an order is told. Whoever showed a token learns that it is wrong, and is told the
 * same of an id that is none: the answer says nothing about whether there is such an order (design 7).
 */
export function unrelated(tokenHash: string | null): 'claim.token-wrong' | 'ledger.chain-unknown' {
  return tokenHash === null ? 'ledger.chain-unknown' : 'claim.token-wrong';
}

/**
 * Claims the issue whose turn it is. A valid token, a nomination, the refills, or an earlier hold are a relation;
 * without any the answer is {@link unrelated}. A wrong token is refused whatever the relation.
 * @returns `dispense.claimed/1`, after `issue.readied/1` when the first fill day has come but no timer said so yet
 */
export function decideClaim(rx: Prescription, command: ClaimIssue, ctx: Context): Decision<RefusalCode> {
  const org = orgOf(ctx.actor, 'pharmacist');
  if (org === null) return refuse('access.forbidden');
  const { order } = rx;
  if (!order) return refuse(unrelated(command.tokenHash));
  // Also whoever may claim without a token: a wrong one means that another prescription was scanned.
  if (command.tokenHash !== null && command.tokenHash !== order.tokenHash) return refuse('claim.token-wrong');
  const basis = basisOf(rx, order, org, command.tokenHash);
  if (basis === null && !isCustodian(rx, org)) return refuse(unrelated(null));

  if (order.historical && order.quantity === null) return refuse('prescription.historical');
  const notOpen = refusalOfStatus(rx);
  if (notOpen) return notOpen;
  const issue = currentIssue(rx);
  if (!issue) return refuse('prescription.historical');
  if (issue.claim?.pharmacy === org) {
    return refuse('prescription.already-claimed-by-you', {
      issue: issue.number,
      claimId: issue.claim.claimId,
      recover: 'secret',
    });
  }
  if (rx.cancel) return refuse('prescription.cancel-pending');
  if (issue.claim) return refuse('prescription.claimed-elsewhere', { state: issue.status });
  if (isPastValidity(order, ctx.now)) return refuse('prescription.expired', { validUntil: order.validUntil });
  const due = isDue(issue, order, ctx.now);
  if (issue.status === 'future' && !due) {
    return refuse('prescription.not-ready', { earliestFillOn: issue.earliestFillOn });
  }
  if (!mayFill(issue.number, rx.refillHolder, org)) {
    return refuse('prescription.refills-elsewhere', { state: issue.status });
  }
  if (basis === null) return refuse('claim.not-entitled');

  const claimed: NewEventOf<DispenseClaimed> = {
    chain: ctx.chain,
    type: 'dispense.claimed/1',
    data: { issue: issue.number, claimId: command.claimId, by: basis },
    derived: { pharmacy: org, secretHash: command.secretHash(issue.number) },
  };
  return due ? accept(readied(issue.number, ctx.chain), claimed) : accept(claimed);
}

/**
 * Whether the actor may read the claim secret again, after a lost answer (rules.md ERP-14): the holder only.
 * @param issue null: whichever is held
 * @returns the claim whose secret it is, and its issue
 */
export function mayRecoverSecret(
  rx: Prescription,
  actor: Actor,
  issue: number | null = null,
): { readonly issue: number; readonly claim: Claim } | null {
  const held = heldIssue(rx);
  if (!held || held.claim.pharmacy !== orgOf(actor, 'pharmacist')) return null;
  return issue === null || issue === held.number ? { issue: held.number, claim: held.claim } : null;
}

/** Why a pharmacy gives an order back. */
export const RELEASE_REASONS = [
  'out-of-stock',
  'patient-request',
  'cannot-serve',
  'claimed-in-error',
  'other',
] as const;

export interface ReleaseClaim {
  /** base64 SHA-256 of the claim secret that was shown. */
  readonly secretHash: string;
  readonly reason: (typeof RELEASE_REASONS)[number];
}

/** @returns `dispense.released/1`, followed by `order.cancelled/1` where a cancel is pending (rules.md EPS-06, EPS-08) */
export function decideRelease(rx: Prescription, command: ReleaseClaim, ctx: Context): Decision<RefusalCode> {
  const held = holding(rx, command.secretHash, ctx.actor);
  if ('refusal' in held) return held;
  const released: NewEventOf<DispenseReleased> = {
    chain: ctx.chain,
    type: 'dispense.released/1',
    data: { issue: held.number, claimId: held.claim.claimId, reason: command.reason },
    derived: {},
  };
  return accept(released, ...pendingCancel(rx, ctx.chain, 'released'));
}

/** Why nothing will be handed over. */
export const NOT_DISPENSED_REASONS = [
  'not-collected',
  'patient-declined',
  'clinically-unsuitable',
  'out-of-stock',
  'drug-unavailable',
  'already-supplied',
  'patient-deceased',
  'other',
] as const;

export interface CloseNotDispensed {
  /** base64 SHA-256 of the claim secret that was shown. */
  readonly secretHash: string;
  readonly reason: (typeof NOT_DISPENSED_REASONS)[number];
}

/** @returns `dispense.not-dispensed/1`, followed by `order.cancelled/1` where a cancel is pending (rules.md EPS-09) */
export function decideNotDispensed(rx: Prescription, command: CloseNotDispensed, ctx: Context): Decision<RefusalCode> {
  const held = holding(rx, command.secretHash, ctx.actor);
  if ('refusal' in held) return held;
  const closed: NewEventOf<DispenseNotDispensed> = {
    chain: ctx.chain,
    type: 'dispense.not-dispensed/1',
    data: { issue: held.number, claimId: held.claim.claimId, reason: command.reason },
    derived: {},
  };
  return accept(closed, ...pendingCancel(rx, ctx.chain, 'not-dispensed'));
}

export interface RecordDispense {
  /** base64 SHA-256 of the claim secret that was shown. */
  readonly secretHash: string;
  /** Fresh UUID. */
  readonly dispenseId: string;
  /** Null: as ordered. */
  readonly medication: Medication | null;
  readonly quantity: Quantity;
  /** Null: the order's, for a dispense of the ordered quantity. */
  readonly daysSupply: number | null;
  /** RFC 3339 UTC with milliseconds. */
  readonly whenHandedOver: string;
  readonly note: string | null;
}

const DAYS_SUPPLY_NEEDED = {
  errors: [{ path: 'daysSupply', message: 'is required unless the ordered quantity is handed over' }],
};

/**
 * Hands over the claimed issue, in full or in part.
 * @returns `dispense.recorded/1`; when it completes the issue, a pending cancel takes the refills that are left
 */
export function decideDispense(rx: Prescription, command: RecordDispense, ctx: DrugContext): Decision<RefusalCode> {
  const { secretHash, ...said } = command;
  const held = holding(rx, secretHash, ctx.actor);
  if ('refusal' in held) return held;
  const { order } = rx;
  if (!order?.quantity) return refuse('prescription.historical');
  if (rx.dispenses.some(({ dispenseId }) => dispenseId === said.dispenseId)) return refuse('dispense.duplicate');

  const wrongTime = refusalOfTime(said.whenHandedOver, held, order, ctx.now);
  if (wrongTime) return wrongTime;
  const medication = said.medication ?? order.medication;
  const product = compareProducts(order, medication, ctx);
  if (product === 'other') return refuse('dispense.drug-not-allowed', { substitution: order.substitutionAllowed });

  if (!isQuantity(said.quantity)) return refuse('quantity.invalid');
  const before = dispensedQuantity(rx, held.number, order.quantity);
  const total = add(before, said.quantity);
  if (isMismatch(total)) return refuse('quantity.unit-mismatch', { expected: order.quantity.unit });
  const toAuthorised = compare(total, order.quantity);
  if (toAuthorised === 1) {
    return refuse('dispense.over-authorised', { remaining: { ...subtract(order.quantity, before) } });
  }

  const daysSupply = said.daysSupply ?? (compare(said.quantity, order.quantity) === 0 ? order.daysSupply : null);
  if (daysSupply === null) return refuse('request.invalid', DAYS_SUPPLY_NEEDED);

  const completesIssue = toAuthorised === 0;
  const recorded: NewEventOf<DispenseRecorded> = {
    chain: ctx.chain,
    type: 'dispense.recorded/1',
    data: { ...said, medication, daysSupply, issue: held.number, claimId: held.claim.claimId },
    derived: { pharmacy: held.claim.pharmacy, completesIssue, substituted: product === 'equivalent' },
    occurredAt: said.whenHandedOver,
  };
  const refillsLeft = rx.issues.some(({ number, status }) => number !== held.number && status === 'future');
  return completesIssue && refillsLeft
    ? accept(recorded, ...pendingCancel(rx, ctx.chain, 'dispensed'))
    : accept(recorded);
}

/** A cancel that waits takes effect with the event before it. */
export function pendingCancel(
  rx: Prescription,
  chain: string,
  cause: OrderCancelled['derived']['cause'],
): NewEvent<'order.cancelled/1', OrderCancelled['data'], OrderCancelled['derived']>[] {
  return rx.cancel?.effect === 'pending' ? [{ chain, type: 'order.cancelled/1', data: {}, derived: { cause } }] : [];
}

type Refused = Extract<Decision<RefusalCode>, { refusal: unknown }>;

function no(code: RefusalCode, facts: JsonObject = {}): Refused {
  return { refusal: { code, facts } };
}

/** The issue that the actor's pharmacy holds and has shown the secret of (rules.md ERP-09). */
function holding(rx: Prescription, secretHash: string, actor: Actor): HeldIssue | Refused {
  const org = orgOf(actor, 'pharmacist');
  if (org === null) return no('access.forbidden');
  if (!isCustodian(rx, org) && rx.order?.nominatedPharmacy !== org) return no('ledger.chain-unknown');
  const held = heldIssue(rx);
  if (!held) return no('claim.none', { state: currentIssue(rx)?.status ?? null });
  if (held.claim.pharmacy !== org) return no('claim.not-holder', { state: held.status });
  return held.claim.secretHash === secretHash ? held : no('claim.secret-wrong');
}

/** @param tokenHash of the right token; null: none was shown */
function basisOf(
  rx: Prescription,
  order: Order,
  org: string,
  tokenHash: string | null,
): DispenseClaimed['data']['by'] | null {
  if (rx.refillHolder === org) return 'holder';
  if (tokenHash !== null) return 'token';
  return order.nominatedPharmacy === org ? 'nomination' : null;
}

/** Each end of an order has its own code (rules.md EPS-05). */
function refusalOfStatus(rx: Prescription): Refused | null {
  switch (rx.status) {
    case 'active':
      return null;
    case 'cancelled':
      return no('prescription.cancelled');
    case 'stopped':
      return no('prescription.expired', { validUntil: rx.order?.validUntil ?? null });
    case 'completed':
      return no(currentIssue(rx)?.status === 'not-dispensed' ? 'prescription.not-dispensed' : 'prescription.dispensed');
    default:
      return no('prescription.not-active', { status: rx.status });
  }
}

/** The handing-over counts, not its recording: what was handed over on the last day may be recorded on the next. */
function refusalOfTime(whenHandedOver: string, held: HeldIssue, order: Order, now: number): Refused | null {
  const when = Date.parse(whenHandedOver);
  if (when > now + CLOCK_GRACE_MS) return no('dispense.in-future');
  if (when < Date.parse(held.claim.claimedAt) - CLOCK_GRACE_MS) {
    return no('dispense.before-claim', { claimedAt: held.claim.claimedAt });
  }
  const day = localDate(when, order.zone);
  if (held.earliestFillOn !== null && day < held.earliestFillOn) {
    return no('dispense.too-early', { earliestFillOn: held.earliestFillOn });
  }
  if (order.validUntil !== null && day > order.validUntil) {
    return no('prescription.expired', { validUntil: order.validUntil });
  }
  return null;
}

/** A permitted substitute has the same ingredients, strength and form: another strength is another dose. */
function compareProducts(order: Order, given: Medication, { findDrug }: DrugContext): 'same' | 'equivalent' | 'other' {
  const { medication: ordered } = order;
  if (given.system === ordered.system && given.code === ordered.code) return 'same';
  if (!order.substitutionAllowed || given.system !== RXNORM || ordered.system !== RXNORM) return 'other';
  const [left, right] = [findDrug(ordered.code), findDrug(given.code)];
  if (!left || !right) return 'other';
  const equivalent =
    left.ingredient === right.ingredient && left.strength === right.strength && left.form === right.form;
  return equivalent ? 'equivalent' : 'other';
}
