import { Big } from 'big.js';
import type { Discrepancy } from '../../patient/state.js';
import type { Dispense, Prescription } from '../../prescription/state.js';
import { daysBetween, localDate } from '../../time/legal-days.js';
import { type Book, handedOverFor } from '../book.js';
import { type Judging, named } from '../finding.js';
import { pharmaciesOf, practiceOf } from '../who-is-told.js';

/**
 * D13: a fill whose first handing-over lies before the previous fill's first day + k × its days' supply. Days are legal
 * days of the order's zone; k is the setting `earlyRefillFactor`. Parts of one issue are one fill that starts with its
 * first part and lasts for the sum of their days. A report that names no issue is a fill of its own.
 *
 * It concerns both: the pharmacy that filled early gives the reason, the practice knows whether the dose changed. The
 * pharmacy of the previous fill is not told: it did nothing early. One discrepancy per pair of successive fills, each
 * named by its first handing-over.
 */
export function earlyRefill(book: Book, { settings }: Judging): Discrepancy[] {
  return book.prescriptions.flatMap((prescription) => {
    const { order } = prescription;
    if (order === null) return [];
    const fills = fillsOf(handedOverFor(book, prescription), order.zone);
    return fills.flatMap((fill, i) => {
      const previous = fills[i - 1];
      if (previous === undefined) return [];
      const elapsed = daysBetween(previous.on, fill.on);
      if (new Big(settings.earlyRefillFactor).times(previous.daysSupply).lte(elapsed)) return [];
      return [early(prescription, previous, fill, settings.earlyRefillFactor)];
    });
  });
}

type Fill = { first: Dispense; on: string; daysSupply: number };

/** Fills by the day on which they began. */
function fillsOf(dispenses: readonly Dispense[], zone: string): Fill[] {
  const fills = new Map<string, Fill>();
  for (const dispense of dispenses) {
    const key = dispense.issue === null ? dispense.dispenseId : `issue ${dispense.issue}`;
    const fill = fills.get(key);
    if (fill) fill.daysSupply += dispense.daysSupply;
    else
      fills.set(key, {
        first: dispense,
        on: localDate(Date.parse(dispense.whenHandedOver), zone),
        daysSupply: dispense.daysSupply,
      });
  }
  return [...fills.values()];
}

function early(prescription: Prescription, previous: Fill, fill: Fill, factor: number): Discrepancy {
  const { orgs, reporters } = pharmaciesOf(prescription, [fill.first]);
  return named({
    class: 'D13',
    chain: prescription.id,
    side: 'both',
    orgs: [...orgs, ...practiceOf(prescription)],
    reporters,
    key: { previous: previous.first.dispenseId, dispense: fill.first.dispenseId },
    facts: { previousOn: previous.on, filledOn: fill.on, daysSupply: previous.daysSupply, factor: String(factor) },
  });
}
