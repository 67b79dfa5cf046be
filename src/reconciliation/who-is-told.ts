/** Who is told of a disagreement about an order, and how much of it. */
import type { Dispense, Prescription } from '../prescription/state.js';
import { isCustodian } from '../prescription/queries.js';
import { type Finding, sortedSet } from './finding.js';

/** The practice that answers for an order: its prescriber's, or whoever issued the order's number. */
export function practiceOf({ order, name }: Prescription): string[] {
  return [order?.prescriber.org ?? name.issuer];
}

/**
 * The pharmacies that handed over. One that holds or held the order, or is nominated, is concerned as the
 * practice is. One that has only reported named the order, perhaps by guessing: it learns that its own
 * handings-over disagree, and no more. Of an order that is not known nothing stands but what was reported,
 * so that who alone has reported sees only their own.
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
