/** Who is told of a disagreement about an order, and how much of it. */
import type { Dispense, Prescription } from '../prescription/state.js';
import { isCustodian } from '../prescription/queries.js';
import { type Finding, sortedSet } from './finding.js';

/** The practice that answers for an order: its prescriber's, or whoever issued the order's number. */
export function practiceOf({ order, name }: Prescription): string[] {
  return [order?.prescriber.org ?? name.issuer];
}

/**
 * The pharmacies that dispensed. One that holds or held the order, or is nominated, sees as much as the practice. One
 * that only reported may have guessed the order's number: it learns only that its own dispenses disagree. An unknown
 * order has only reports: a pharmacy sees all of it only when every report is its own.
 */
export function pharmaciesOf(
  prescription: Prescription,
  dispenses: readonly Dispense[],
): Pick<Finding, 'orgs' | 'reporters'> {
  const concerned = (org: string): boolean => {
    if (prescription.order === null) return prescription.dispenses.every(({ pharmacy }) => pharmacy === org);
    return isCustodian(prescription, org) || prescription.order.nominatedPharmacy === org;
  };
  const pharmacies = sortedSet(dispenses.map(({ pharmacy }) => pharmacy));
  return {
    orgs: pharmacies.filter(concerned),
    reporters: pharmacies
      .filter((org) => !concerned(org))
      .map((org) => ({
        org,
        dispenses: sortedSet(dispenses.flatMap(({ pharmacy, dispenseId }) => (pharmacy === org ? [dispenseId] : []))),
      })),
  };
}
