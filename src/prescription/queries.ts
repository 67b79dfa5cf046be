/** Questions about the state of a prescription that more than one decision asks. */
import type { Actor } from '../ledger/model.js';
import { localDate, startOfDay, addDays } from '../time/legal-days.js';
import type { Quantity } from './events.js';
import type { Claim, Dispense, Issue, IssueStatus, Order, Prescription } from './state.js';
import { add, isMismatch } from './quantity.js';

/** Nothing more happens to such an issue, unless a dispense of it is reversed. */
export function isClosed({ status }: Issue): boolean {
  return CLOSED.has(status);
}
const CLOSED: ReadonlySet<IssueStatus> = new Set(['dispensed', 'not-dispensed', 'expired', 'cancelled']);

/** The issue whose turn it is: the first that is not closed, otherwise the last; null before the order arrives. */
export function currentIssue(rx: Prescription): Issue | null {
  return rx.issues.find((issue) => !isClosed(issue)) ?? rx.issues.at(-1) ?? null;
}

export type HeldIssue = Issue & { claim: Claim };

/** The issue that a pharmacy holds; null when none does. One at most (see the property test). */
export function heldIssue(rx: Prescription): HeldIssue | null {
  return rx.issues.find((issue): issue is HeldIssue => issue.claim !== null) ?? null;
}

/** What was handed over under claims of this issue and stands. Reports are facts for reconciliation and do not count. */
export function standingDispenses(rx: Prescription, issue: number): Dispense[] {
  return rx.dispenses.filter((dispense) => dispense.issue === issue && dispense.claim !== null && !dispense.reversed);
}

/**
 * @param authorised quantity of one issue
 * @returns the sum of the standing dispenses of an issue, in the unit of the order
 * @throws {Error} on another unit: `decideDispense` lets none through
 */
export function dispensedQuantity(rx: Prescription, issue: number, authorised: Quantity): Quantity {
  return standingDispenses(rx, issue).reduce<Quantity>(
    (total, { quantity }) => {
      const sum = add(total, quantity);
      if (isMismatch(sum)) throw new Error('a dispense under a claim is in another unit than its order');
      return sum;
    },
    { value: '0', unit: authorised.unit },
  );
}

/** Whether the pharmacy holds or held it under a claim. A report of a dispense is none. */
export function isCustodian(rx: Prescription, org: string): boolean {
  return rx.pharmacies.some((custody) => custody.org === org);
}

/** The pharmacist's pharmacy, or the prescriber's practice; null for an actor without one or in another role. */
export function orgOf(actor: Actor, role: 'prescriber' | 'pharmacist'): string | null {
  return actor.role === role ? actor.org : null;
}

/** Whether the last legal day on which the order may be filled has passed. Imported orders have none. */
export function isPastValidity(order: Order, now: number): boolean {
  return order.validUntil !== null && localDate(now, order.zone) > order.validUntil;
}

/** Whether a future-dated original fill has reached its first day. Refills wait for the issue before them instead. */
export function isDue(issue: Issue, order: Order, now: number): boolean {
  return (
    issue.status === 'future' && issue.earliestFillOn !== null && localDate(now, order.zone) >= issue.earliestFillOn
  );
}

/**
 * @returns when time alone changes the state next, ms since 1970: the start of the earliest fill day, or of the
 * day after the last of validity; null when it never does
 */
export function nextTimer(rx: Prescription): number | null {
  const { order } = rx;
  if (!order || rx.status !== 'active') return null;
  const current = currentIssue(rx);
  if (current?.status === 'future' && current.earliestFillOn !== null) {
    return startOfDay(current.earliestFillOn, order.zone);
  }
  return order.validUntil === null ? null : startOfDay(addDays(order.validUntil, 1), order.zone);
}
