import type { Discrepancy } from '../../patient/patient.js';
import type { Prescription } from '../../prescription/prescription.js';
import { type Book, handedOverFor } from '../book.js';
import { named } from '../finding.js';
import { practiceOf } from '../orgs.js';

/** Clocks of two organisations and a cancel on its way: less than this after the cancel is not held against anybody. */
const GRACE_MS = 60_000;

/**
 * D03: handed over more than a minute after a cancel was recorded that is in effect. While a cancel is
 * pending (a pharmacy holds the issue) or held (the order is not known yet) it is not in effect, and what
 * the holder dispensed under its claim meanwhile crossed with the cancel: that is no error of theirs (D04).
 * It concerns both: the prescriber reaches the patient, the pharmacy withdraws its record or explains it.
 * One discrepancy per handing-over.
 */
export function dispensedAfterCancel(book: Book): Discrepancy[] {
  return book.prescriptions.flatMap((prescription) => judge(book, prescription));
}

function judge(book: Book, prescription: Prescription): Discrepancy[] {
  const { cancel } = prescription;
  if (cancel === null || cancel.effect !== 'applied') return [];
  const until = Date.parse(cancel.recordedAt) + GRACE_MS;
  return handedOverFor(book, prescription)
    .filter((dispense) => dispense.claim === null && Date.parse(dispense.whenHandedOver) > until)
    .map((dispense) =>
      named({
        class: 'D03',
        chain: prescription.id,
        side: 'both',
        orgs: [dispense.pharmacy, ...practiceOf(prescription), ...(cancel.by.org === null ? [] : [cancel.by.org])],
        key: { dispense: dispense.dispenseId },
        facts: { cancelledAt: cancel.recordedAt, whenHandedOver: dispense.whenHandedOver },
      }),
    );
}
