/**
 * How a supply chain comes to its state, and the handings-over and doses that prescription chains hold as well.
 */
import type { LedgerEvent } from '../ledger/core/record/event.js';
import type {
  DispenseRecorded,
  DispenseReported,
  DoseCorrected,
  DoseSkipped,
  DoseTaken,
  SupplyEvent,
} from './events.js';
import type { Dispense, Dose, Supply } from './state.js';

/** Every type and version that a chain of this kind may have; a compile error here means one was forgotten. */
const SUPPLY_EVENTS: Readonly<Record<SupplyEvent['type'], true>> = {
  'dispense.reported/1': true,
  'dose.taken/1': true,
  'dose.skipped/1': true,
  'dose.corrected/1': true,
  'supply.matched/1': true,
};

export function isSupplyEvent(event: LedgerEvent): event is SupplyEvent {
  return Object.hasOwn(SUPPLY_EVENTS, event.type);
}

/** Doses kept in the state; older ones stand in the ledger. A year of one a day, and some. */
export const KEPT_DOSES = 400;

/**
 * @param state null before the first entry
 * @returns the state after the event; the given one is not changed
 * @throws {Error} on a type that no version of this chain has
 */
export function evolveSupply(state: Supply | null, event: LedgerEvent): Supply {
  if (!isSupplyEvent(event)) throw new Error(`a supply chain has no events of type ${event.type}`);
  const supply: Supply = state ?? {
    id: event.chain,
    recordedAt: event.recordedAt,
    patient: null,
    claimedOrder: null,
    pharmacy: null,
    dispenses: [],
    doses: [],
    matchedTo: null,
  };
  switch (event.type) {
    case 'dispense.reported/1':
      return {
        ...supply,
        patient: event.data.patient ?? supply.patient,
        claimedOrder: event.data.order ?? supply.claimedOrder,
        pharmacy: event.derived.pharmacy,
        dispenses: [...supply.dispenses, report(event)],
      };
    case 'dose.taken/1':
    case 'dose.skipped/1': {
      const { patient, medication } = event.data;
      return { ...supply, patient, doses: latest([...supply.doses, { ...doseIn(event), medication }]) };
    }
    case 'dose.corrected/1':
      return { ...supply, doses: corrected(supply.doses, event) };
    case 'supply.matched/1':
      return { ...supply, matchedTo: event.data.prescription };
    default:
      return unhandled(event);
  }
}

export function handedOver({ data, derived, recordedAt, seq }: DispenseRecorded | DispenseReported) {
  const { dispenseId, medication, quantity, daysSupply, whenHandedOver } = data;
  const { pharmacy } = derived;
  return { dispenseId, pharmacy, medication, quantity, daysSupply, whenHandedOver, recordedAt, reversed: false, seq };
}

export function report(event: DispenseReported): Dispense {
  return { ...handedOver(event), issue: event.data.issue, reported: true, claim: null };
}

export function doseIn(event: DoseTaken | DoseSkipped): Dose {
  const { doseId, at } = event.data;
  return event.type === 'dose.taken/1'
    ? { doseId, outcome: 'taken', at, quantity: event.data.quantity, seq: event.seq }
    : { doseId, outcome: 'skipped', at, quantity: null, seq: event.seq };
}

export function latest<D extends Dose>(doses: D[]): D[] {
  return doses.slice(-KEPT_DOSES);
}

export function corrected<D extends Dose>(doses: D[], { data }: DoseCorrected): D[] {
  const { outcome, at, quantity } = data;
  return doses.map((dose) => (dose.doseId === data.doseId ? { ...dose, outcome, at, quantity } : dose));
}

/** The compiler holds that no event type gets here. */
export function unhandled(event: never): never {
  throw new Error(`no case for ${String(event)}`);
}
