/**
 * One patient's book: all their chains side by side, as prescribers, pharmacies and the patient wrote them, in whatever
 * order they arrived (design 5).
 */
import type { Dispense, Prescription, Supply } from '../prescription/state.js';

export type Book = {
  /** Id of the subject: a patient, or a provisional patient not yet matched; null when it is not known. */
  readonly patient: string | null;
  readonly prescriptions: readonly Prescription[];
  readonly supplies: readonly Supply[];
};

/**
 * All dispenses for a prescription: those on its own chain and the supplies that were matched to it. See {@link
 * standing}.
 */
export function handedOverFor(book: Book, prescription: Prescription): Dispense[] {
  const matched = book.supplies.filter((supply) => supply.matchedTo === prescription.id);
  return standing([...prescription.dispenses, ...matched.flatMap((supply) => supply.dispenses)]);
}

/**
 * Each dispense once, without reversed ones. Sorted by handing-over time and then id, so that the order of arrival
 * makes no difference.
 */
export function standing(dispenses: readonly Dispense[]): Dispense[] {
  const reversed = new Set(dispenses.filter((dispense) => dispense.reversed).map((dispense) => dispense.dispenseId));
  const byId = new Map(dispenses.map((dispense) => [dispense.dispenseId, dispense]));
  return [...byId.values()]
    .filter((dispense) => !reversed.has(dispense.dispenseId))
    .toSorted(
      (a, b) => Date.parse(a.whenHandedOver) - Date.parse(b.whenHandedOver) || (a.dispenseId < b.dispenseId ? -1 : 1),
    );
}
