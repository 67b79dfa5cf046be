import type { Discrepancy } from '../../patient/state.js';
import type { Prescription } from '../../prescription/state.js';
import { type Book, handedOverFor } from '../book.js';
import { named } from '../finding.js';
import { pharmaciesOf, practiceOf } from '../who-is-told.js';

/** Clocks of two organisations and a cancel on its way: less than this after the cancel is not held against anybody. */
const GRACE_MS = 60_000;

/**
 * D03: handed over more than a minute after a cancel was recorded, under a claim or not. A cancel that is
 * pending (a pharmacy holds the issue) counts as well: the ledger takes what the holder hands over meanwhile,
 * and the prescriber must know that the patient has what was to be cancelled. While a cancel is held the
 * order is not known, and what was reported of it is an orphan (D12).
 * It concerns both: the prescriber reaches the patient, the pharmacy withdraws its record or explains it.
 * One discrepancy per handing-over.
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
