import type { Prescription } from '../prescription/prescription.js';

/** The practice that answers for an order: its prescriber's, or whoever issued the order's number. */
export function practiceOf({ order, name }: Prescription): string[] {
  return [order?.prescriber.org ?? name.issuer];
}
