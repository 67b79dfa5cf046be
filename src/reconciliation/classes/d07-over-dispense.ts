import { Big } from 'big.js';
import type { Discrepancy } from '../../patient/state.js';
import type { Dispense, Prescription } from '../../prescription/state.js';
import { type Book, handedOverFor } from '../book.js';
import { named, sortedSet } from '../finding.js';
import { pharmaciesOf, practiceOf } from '../who-is-told.js';

/**
 * D07: more was handed over in total than the order authorises: quantity × (1 + refills), summed exactly and within one
 * unit. Amounts in another unit cannot be summed and are an error of their own (evidence `kind: unit-mismatch`). An
 * order without a quantity or number of refills (imported history) authorises no amount that could be exceeded. It
 * concerns both: the pharmacies correct their record, or the prescriber authorises it. The evidence is the set of
 * handings-over: another set is another discrepancy.
 */
export function overDispense(book: Book): Discrepancy[] {
  return book.prescriptions.flatMap((prescription) => {
    const { order } = prescription;
    if (order === null || order.quantity === null) return [];
    const { value, unit } = order.quantity;
    const dispenses = handedOverFor(book, prescription);
    const same = dispenses.filter((dispense) => dispense.quantity.unit === unit);
    const other = dispenses.filter((dispense) => dispense.quantity.unit !== unit);
    const found: Discrepancy[] = [];
    if (order.refills !== null) {
      const authorised = new Big(value).times(1 + order.refills);
      const dispensed = same.reduce((sum, dispense) => sum.plus(dispense.quantity.value), new Big(0));
      if (dispensed.gt(authorised)) {
        const amounts = { authorised: authorised.toFixed(), dispensed: dispensed.toFixed(), unit };
        found.push(over(prescription, 'over-dispense', same, amounts));
      }
    }
    if (other.length > 0) {
      const units = sortedSet(other.map((dispense) => dispense.quantity.unit));
      found.push(over(prescription, 'unit-mismatch', other, { authorisedUnit: unit, units }));
    }
    return found;
  });
}

function over(
  prescription: Prescription,
  kind: 'over-dispense' | 'unit-mismatch',
  dispenses: readonly Dispense[],
  facts: Discrepancy['evidence'],
): Discrepancy {
  const { orgs, reporters } = pharmaciesOf(prescription, dispenses);
  return named({
    class: 'D07',
    chain: prescription.id,
    side: 'both',
    orgs: [...orgs, ...practiceOf(prescription)],
    reporters,
    key: { kind, dispenses: sortedSet(dispenses.map((dispense) => dispense.dispenseId)) },
    facts,
  });
}
