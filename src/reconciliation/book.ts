/**
 * One patient's book: all their chains side by side, as the prescribers, the pharmacies and the patient
 * wrote them, whatever order they arrived in (design 5).
 */
import type { Dispense, Prescription, Supply } from '../prescription/state.js';

export type Book = {
  /** Id of the subject: a patient, or a provisional patient not yet matched; null when it is not known. */
  readonly patient: string | null;
  readonly prescriptions: readonly Prescription[];
  readonly supplies: readonly Supply[];
};

/**
 * All that was handed over for a prescription: what its own chain says, and the supplies that were matched
 * to it. Each handing-over once, none that was reversed, in the order of handing over (ties by id).
 */
export function handedOverFor(book: Book, prescription: Prescription): Dispense[] {
  const matched = book.supplies.filter((supply) => supply.matchedTo === prescription.id);
  return standing([...prescription.dispenses, ...matched.flatMap((supply) => supply.dispenses)]);
}

/** Each handing-over once, none that was reversed, in the order of handing over (ties by id): arrival does not show. */
export function standing(dispenses: readonly Dispense[]): Dispense[] {
  const reversed = new Set(dispenses.filter((dispense) => dispense.reversed).map((dispense) => dispense.dispenseId));
  const byId = new Map(dispenses.map((dispense) => [dispense.dispenseId, dispense]));
  return [...byId.values()]
    .filter((dispense) => !reversed.has(dispense.dispenseId))
    .toSorted(
      (a, b) => Date.parse(a.whenHandedOver) - Date.parse(b.whenHandedOver) || (a.dispenseId < b.dispenseId ? -1 : 1),
    );
}
