import type { Discrepancy } from '../../patient/patient.js';
import type { Dispense } from '../../prescription/prescription.js';
import { type Book, standing } from '../book.js';
import { named } from '../finding.js';

/**
 * D12: a handing-over that belongs to no order of this patient: a supply that is not matched (no order
 * named, or one that is another patient's), or a report for an order that has not arrived.
 * It concerns the pharmacy that handed it over: it names the right order, or withdraws its report.
 * No practice is told: none is known to be concerned until it is matched. Doses without an order are
 * the patient's own word and no pharmacy's error.
 * One discrepancy per handing-over.
 */
export function orphanDispense(book: Book): Discrepancy[] {
  const unknownOrder = book.prescriptions
    .filter((prescription) => prescription.order === null)
    .flatMap(({ id, dispenses }) => standing(dispenses).map((dispense) => orphan(id, dispense, 'unknown-order')));
  const unmatched = book.supplies
    .filter((supply) => supply.matchedTo === null)
    .flatMap(({ id, dispenses }) => standing(dispenses).map((dispense) => orphan(id, dispense, 'unmatched-supply')));
  return [...unknownOrder, ...unmatched];
}

function orphan(chain: string, dispense: Dispense, kind: 'unknown-order' | 'unmatched-supply'): Discrepancy {
  return named({
    class: 'D12',
    chain,
    side: 'pharmacy',
    orgs: [dispense.pharmacy],
    key: { dispense: dispense.dispenseId },
    facts: { kind, whenHandedOver: dispense.whenHandedOver },
  });
}
