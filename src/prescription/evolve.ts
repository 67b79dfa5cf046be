// Longer than 300 lines: every event of an order is folded here, over the same state.
/**
 * How a prescription chain comes to its state, event by event: the only way. No clock,
 * no configuration, no formulary: what those said stands in the event. Rules are checked by `decide`; here
 * every event that was recorded is a fact.
 */
import type { LedgerEvent } from '../ledger/core/record/event.js';
import type {
  DispenseRecorded,
  DispenseReversed,
  OrderCancelRequested,
  OrderImported,
  OrderIssued,
  OrderName,
  PrescriptionEvent,
} from './events.js';
import { corrected, doseIn, handedOver, latest, report, unhandled } from './evolve-supply.js';
import type { Dispense, Issue, IssueStatus, Order, OrderStatus, Prescription } from './state.js';
import { isClosed, standingDispenses } from './queries.js';

/** Every type and version that a chain of this kind may have; a compile error here means one was forgotten. */
const PRESCRIPTION_EVENTS: Readonly<Record<PrescriptionEvent['type'], true>> = {
  'order.issued/1': true,
  'order.imported/1': true,
  'order.cancel-requested/1': true,
  'order.cancelled/1': true,
  'issue.readied/1': true,
  'issue.expired/1': true,
  'dispense.claimed/1': true,
  'dispense.released/1': true,
  'dispense.recorded/1': true,
  'dispense.not-dispensed/1': true,
  'dispense.reversed/1': true,
  'dispense.reported/1': true,
  'dose.taken/1': true,
  'dose.skipped/1': true,
  'dose.corrected/1': true,
};

export function isPrescriptionEvent(event: LedgerEvent): event is PrescriptionEvent {
  return Object.hasOwn(PRESCRIPTION_EVENTS, event.type);
}

/**
 * @param state null before the first entry
 * @returns the state after the event; the given one is not changed
 * @throws {Error} on an unknown type, an event that cannot open a chain, or a cancellation that nobody asked for
 */
export function evolvePrescription(state: Prescription | null, event: LedgerEvent): Prescription {
  if (!isPrescriptionEvent(event)) throw new Error(`a prescription chain has no events of type ${event.type}`);
  const rx = state ?? open(event);
  switch (event.type) {
    case 'order.issued/1':
      return issued(rx, event);
    case 'order.imported/1':
      return imported(rx, event);
    case 'order.cancel-requested/1':
      return cancelRequested(rx, event);
    case 'order.cancelled/1':
      return cancelled(rx);
    case 'issue.readied/1':
      return withIssue(rx, event.data.issue, (issue) => ({ ...issue, status: 'ready' }));
    case 'issue.expired/1':
      return stopIfClosed(withIssue(rx, event.data.issue, (issue) => closed(rx, issue, 'expired')));
    case 'dispense.claimed/1': {
      const { pharmacy, secretHash } = event.derived;
      const claim = { claimId: event.data.claimId, pharmacy, secretHash, claimedAt: event.recordedAt };
      return inCustody(
        withIssue(rx, event.data.issue, (issue) => ({ ...issue, status: 'claimed', claim })),
        pharmacy,
        event,
      );
    }
    case 'dispense.released/1':
      return withIssue(rx, event.data.issue, (issue) => ({ ...issue, status: 'ready', claim: null }));
    case 'dispense.recorded/1':
      return dispensed(rx, event);
    case 'dispense.not-dispensed/1':
      return moveOn(withIssue(rx, event.data.issue, (issue) => closed(rx, issue, 'not-dispensed')));
    case 'dispense.reversed/1':
      return reversed(rx, event);
    case 'dispense.reported/1':
      // Whoever names an order, perhaps by guessing, does not come to hold it: a report opens nothing to its pharmacy.
      return { ...rx, dispenses: [...rx.dispenses, report(event)] };
    case 'dose.taken/1':
    case 'dose.skipped/1':
      return { ...rx, doses: latest([...rx.doses, doseIn(event)]) };
    case 'dose.corrected/1':
      return { ...rx, doses: corrected(rx.doses, event) };
    default:
      return unhandled(event);
  }
}

/** A chain may begin with its order, an early cancel or an early report: each names the order. */
function open(event: PrescriptionEvent): Prescription {
  return {
    id: event.chain,
    recordedAt: event.recordedAt,
    name: nameIn(event),
    order: null,
    status: null,
    issues: [],
    cancel: null,
    refillHolder: null,
    pharmacies: [],
    dispenses: [],
    doses: [],
  };
}

function nameIn(event: PrescriptionEvent): OrderName {
  switch (event.type) {
    case 'order.issued/1':
    case 'order.imported/1':
    case 'order.cancel-requested/1':
      return { issuer: event.data.issuer, number: event.data.number };
    case 'dispense.reported/1':
      if (event.data.order) return { issuer: event.data.order.issuer, number: event.data.order.number };
      throw new Error('a report that names no order cannot open a prescription chain');
    default:
      throw new Error(`an event of type ${event.type} cannot open a prescription chain`);
  }
}

function issued(rx: Prescription, event: OrderIssued): Prescription {
  const { data, derived } = event;
  const order: Order = {
    historical: false,
    patient: data.patient,
    prescriber: { id: event.actor.id, org: event.actor.org },
    medication: data.medication,
    directions: data.directions,
    quantity: data.quantity,
    daysSupply: data.daysSupply,
    refills: data.refills,
    substitutionAllowed: data.substitutionAllowed,
    writtenOn: data.writtenOn,
    earliestFillOn: data.earliestFillOn,
    nominatedPharmacy: data.nominatedPharmacy,
    note: data.note,
    zone: derived.zone,
    schedule: derived.schedule,
    ingredient: derived.ingredient,
    validUntil: derived.validUntil,
    ruleSet: derived.ruleSet,
    tokenGeneration: derived.tokenGeneration,
    tokenHash: derived.tokenHash,
    recordedAt: event.recordedAt,
  };
  // It is written on the day it is recorded, so that these two dates say whether it waits for its first day.
  const waits = data.earliestFillOn !== null && data.earliestFillOn > data.writtenOn;
  const first: Issue = {
    number: 0,
    status: waits ? 'future' : 'ready',
    earliestFillOn: data.earliestFillOn,
    claim: null,
  };
  return { ...rx, order, status: 'active', issues: [first, ...refillsAfter(data.refills)] };
}

/** FHIR R4 MedicationRequest.status. `draft` and `unknown` are no offer either. */
const IMPORTED_STATUS: Readonly<Record<string, OrderStatus>> = {
  active: 'active',
  'on-hold': 'on-hold',
  completed: 'completed',
  cancelled: 'cancelled',
  stopped: 'stopped',
  'entered-in-error': 'entered-in-error',
  draft: 'on-hold',
  unknown: 'on-hold',
};
const WRITTEN_ON = /^\d{4}-\d{2}-\d{2}/;

function imported(rx: Prescription, { data, derived, actor, recordedAt }: OrderImported): Prescription {
  const status = IMPORTED_STATUS[data.sourceStatus] ?? 'on-hold';
  const order: Order = {
    historical: true,
    patient: data.patient,
    prescriber: { id: actor.id, org: data.issuer },
    medication: data.medication,
    directions: data.directions,
    quantity: data.quantity,
    daysSupply: data.daysSupply,
    refills: data.refills,
    substitutionAllowed: false,
    writtenOn: WRITTEN_ON.exec(data.authoredOn ?? '')?.[0] ?? null,
    earliestFillOn: null,
    nominatedPharmacy: null,
    note: null,
    zone: derived.zone,
    schedule: derived.schedule,
    ingredient: derived.ingredient,
    validUntil: null,
    ruleSet: null,
    tokenGeneration: 0,
    tokenHash: null,
    recordedAt,
  };
  // How much of a closed or unquantified order was filled is not known here: it has no issues.
  const offered = status === 'active' && data.quantity !== null;
  const first: Issue = { number: 0, status: 'ready', earliestFillOn: null, claim: null };
  return { ...rx, order, status, issues: offered ? [first, ...refillsAfter(data.refills ?? 0)] : [] };
}

function refillsAfter(refills: number): Issue[] {
  const issues: Issue[] = [];
  for (let number = 1; number <= refills; number++) {
    issues.push({ number, status: 'future', earliestFillOn: null, claim: null });
  }
  return issues;
}

function cancelRequested(rx: Prescription, { data, derived, actor, recordedAt }: OrderCancelRequested): Prescription {
  const by = { id: actor.id, org: actor.org };
  const { effect } = derived;
  const requested: Prescription = {
    ...rx,
    cancel: { by, reason: data.reason, recordedAt, effect: effect === 'cancelled' ? 'applied' : effect },
  };
  return effect === 'cancelled' ? cancelled(requested) : requested;
}

function cancelled(rx: Prescription): Prescription {
  // So that nobody who signs can be said to have brought about what nobody asked for.
  if (!rx.cancel) throw new Error('an order is cancelled that nobody has asked to cancel');
  return {
    ...rx,
    status: 'cancelled',
    cancel: { ...rx.cancel, effect: 'applied' },
    issues: rx.issues.map((issue) => (isClosed(issue) ? issue : closed(rx, issue, 'cancelled'))),
  };
}

function dispensed(rx: Prescription, event: DispenseRecorded): Prescription {
  const { data, derived } = event;
  const claim = rx.issues[data.issue]?.claim ?? null;
  const dispense: Dispense = { ...handedOver(event), issue: data.issue, reported: false, claim };
  const after: Prescription = {
    ...rx,
    refillHolder: derived.pharmacy,
    dispenses: [...rx.dispenses, dispense],
  };
  return derived.completesIssue
    ? moveOn(withIssue(after, data.issue, (issue) => ({ ...issue, status: 'dispensed', claim: null })))
    : withIssue(after, data.issue, (issue) => ({ ...issue, status: 'part-dispensed' }));
}

/**
 * A reversed dispense leaves its issue to the pharmacy that recorded it: with the claim it was dispensed under,
 * when the issue was complete. An issue that is held or ready stays so. If the order was cancelled or
 * stopped since, the issue ends as the order did.
 */
function reversed(rx: Prescription, { data }: DispenseReversed): Prescription {
  const dispenses = rx.dispenses.map((dispense) =>
    dispense.dispenseId === data.dispenseId ? { ...dispense, reversed: true } : dispense,
  );
  const lastStanding = dispenses.findLast((dispense) => dispense.claim !== null && !dispense.reversed);
  const after: Prescription = { ...rx, dispenses, refillHolder: lastStanding?.pharmacy ?? null };
  const undone = rx.dispenses.find((dispense) => dispense.dispenseId === data.dispenseId);
  if (!undone?.claim || undone.issue === null) return after;
  const { claim, issue: number } = undone;
  const issue = rx.issues[number];
  if (!issue) return after;
  if (!isClosed(issue)) {
    const status = issue.status === 'part-dispensed' ? underClaim(after, issue) : issue.status;
    return withIssue(after, number, (held) => ({ ...held, status }));
  }
  if (rx.status === 'cancelled' || rx.status === 'stopped') {
    const end = rx.status === 'cancelled' ? 'cancelled' : 'expired';
    return withIssue(after, number, (ended) => closed(after, ended, end));
  }
  const reopened: Prescription = {
    ...after,
    status: 'active',
    issues: after.issues.map((later) =>
      later.number > number && later.status === 'ready' ? { ...later, status: 'future' } : later,
    ),
  };
  return withIssue(reopened, number, (ended) => ({ ...ended, status: underClaim(after, ended), claim }));
}

/** Once an issue is complete the next becomes ready; with the last one the order is completed. */
function moveOn(rx: Prescription): Prescription {
  const next = rx.issues.find((issue) => !isClosed(issue));
  if (!next) return { ...rx, status: 'completed' };
  return next.status === 'future' ? withIssue(rx, next.number, (issue) => ({ ...issue, status: 'ready' })) : rx;
}

/** An order whose last issue went with time has stopped; one of which only remainders went is completed. */
function stopIfClosed(rx: Prescription): Prescription {
  if (!rx.issues.every(isClosed)) return rx;
  return { ...rx, status: rx.issues.some((issue) => issue.status === 'expired') ? 'stopped' : 'completed' };
}

/** An issue of which something was handed over ends as dispensed, however its remainder ended (rules.md EPS-14). */
function closed(rx: Prescription, issue: Issue, end: IssueStatus): Issue {
  return { ...issue, status: standingDispenses(rx, issue.number).length > 0 ? 'dispensed' : end, claim: null };
}

function underClaim(rx: Prescription, issue: Issue): IssueStatus {
  return standingDispenses(rx, issue.number).length > 0 ? 'part-dispensed' : 'claimed';
}

function withIssue(rx: Prescription, number: number, change: (issue: Issue) => Issue): Prescription {
  return { ...rx, issues: rx.issues.map((issue) => (issue.number === number ? change(issue) : issue)) };
}

function inCustody(rx: Prescription, org: string, { recordedAt }: { recordedAt: string }): Prescription {
  if (rx.pharmacies.some((custody) => custody.org === org)) return rx;
  return { ...rx, pharmacies: [...rx.pharmacies, { org, since: recordedAt }] };
}
