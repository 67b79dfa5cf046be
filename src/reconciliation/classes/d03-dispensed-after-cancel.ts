import type { Discrepancy } from '../../patient/state.js';
import type { Prescription } from '../../prescription/state.js';
import { type Book, handedOverFor } from '../book.js';
import { named } from '../finding.js';
import { pharmaciesOf, practiceOf } from '../who-is-told.js';

/** A dispense so soon after the cancel is nobody's fault: clocks differ, and the cancel may still be on its way. */
const GRACE_MS = 60_000;

/**
 * D03: handed over more than a minute after a cancel was recorded, under a claim or not. A pending cancel (a pharmacy
 * holds the issue) counts as well. The holder may still dispense, and the prescriber must know that the patient has the
 * drug. While a cancel waits for its order, the order is not known, and reports about it are orphans (D12).
 *
 * It concerns both: the prescriber reaches the patient, the pharmacy withdraws its record or explains it. One
 * discrepancy per handing-over.
 */
export function dispensedAfterCancel(book: Book): Discrepancy[] {
  return book.prescriptions.flatMap((prescription) => judge(book, prescription));
}

function judge(book: Book, prescription: Prescription): Discrepancy[] {
  const { cancel } = prescription;
  if (cancel === null || cancel.effect === 'held') return [];
  const until = Date.parse(cancel.recordedAt) + GRACE_MS;
  return handedOverFor(book, prescription)
    .filter((dispense) => Date.parse(dispense.whenHandedOver) > until)
    .map((dispense) => {
      const { orgs, reporters } = pharmaciesOf(prescription, [dispense]);
      return named({
        class: 'D03',
        chain: prescription.id,
        side: 'both',
        orgs: [...orgs, ...practiceOf(prescription), ...(cancel.by.org === null ? [] : [cancel.by.org])],
        reporters,
        key: { dispense: dispense.dispenseId },
        facts: { cancelledAt: cancel.recordedAt, whenHandedOver: dispense.whenHandedOver },
      });
    });
}
