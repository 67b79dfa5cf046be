import type { Discrepancy } from '../../patient/state.js';
import type { Dispense } from '../../prescription/state.js';
import { type Book, standing } from '../book.js';
import { type Finding, named } from '../finding.js';
import { pharmaciesOf } from '../who-is-told.js';

/**
 * D12: a handing-over that belongs to no order of this patient. It is a supply that names no order or another
 * patient's, or a report for an order that has not arrived. It concerns the pharmacy that handed it over: that names
 * the right order, or withdraws its report. When several pharmacies reported the same unknown order, none sees which
 * patient the others named.
 *
 * No practice is told: none is known to be concerned until it is matched. Doses without an order are only the patient's
 * statement and no pharmacy's error. One discrepancy per handing-over.
 */
export function orphanDispense(book: Book): Discrepancy[] {
  const unknownOrder = book.prescriptions
    .filter((prescription) => prescription.order === null)
    .flatMap((prescription) =>
      standing(prescription.dispenses).map((dispense) =>
        orphan(prescription.id, dispense, 'unknown-order', pharmaciesOf(prescription, [dispense])),
      ),
    );
  const unmatched = book.supplies
    .filter((supply) => supply.matchedTo === null)
    .flatMap(({ id, dispenses }) =>
      standing(dispenses).map((dispense) =>
        orphan(id, dispense, 'unmatched-supply', { orgs: [dispense.pharmacy], reporters: [] }),
      ),
    );
  return [...unknownOrder, ...unmatched];
}

function orphan(
  chain: string,
  dispense: Dispense,
  kind: 'unknown-order' | 'unmatched-supply',
  told: Pick<Finding, 'orgs' | 'reporters'>,
): Discrepancy {
  return named({
    class: 'D12',
    chain,
    side: 'pharmacy',
    ...told,
    key: { dispense: dispense.dispenseId },
    facts: { kind, whenHandedOver: dispense.whenHandedOver },
  });
}
