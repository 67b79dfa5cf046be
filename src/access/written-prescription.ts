/** What every write to a prescription answers, in whichever module. */
import { z } from 'zod';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import type { Recorded } from '../http/write/record.js';
import type { Prescription } from '../prescription/state.js';
import { prescriptionView, viewOf } from '../prescription/views/prescription-view.js';

export const writtenPrescription = z
  .object({ prescription: prescriptionView, ...receipts })
  .meta({ id: 'WrittenPrescription', title: 'WrittenPrescription' });

/** @param now ms since 1970 */
export function writtenView(
  { state, receipts: all }: Pick<Recorded<Prescription>, 'state' | 'receipts'>,
  now: number,
): z.output<typeof writtenPrescription> {
  return { prescription: viewOf(state, now), ...receiptsOf(all) };
}
