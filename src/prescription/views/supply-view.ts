/** A supply without a known prescription, and doses, as answers tell them. */
import { z } from 'zod';
import type { Dose, Supply } from '../state.js';
import { dispenseView, medication, quantity, viewOfDispense } from './prescription-view.js';

export const doseView = z
  .object({
    doseId: z.string(),
    outcome: z.enum(['taken', 'skipped', 'entered-in-error']),
    at: z.string().describe('when it was taken or skipped'),
    quantity: quantity.nullable().describe('null: as directed'),
  })
  .meta({ id: 'Dose', title: 'Dose' });

const suppliedDose = doseView
  .extend({ medication: medication.nullable() })
  .meta({ id: 'SuppliedDose', title: 'SuppliedDose' });

export const supplyView = z
  .object({
    id: z.uuid(),
    patient: z.uuid().nullable().describe('null: not known when it was recorded'),
    pharmacy: z.uuid().nullable().describe('the pharmacy that reported it; null: the patient did'),
    recordedAt: z.string(),
    matchedTo: z.uuid().nullable().describe('the prescription that it turned out to belong to'),
    dispenses: z.array(dispenseView),
    doses: z.array(suppliedDose),
  })
  .meta({ id: 'Supply', title: 'Supply' });

export function viewOfDose({ doseId, outcome, at, quantity: amount }: Dose): z.output<typeof doseView> {
  return { doseId, outcome, at, quantity: amount };
}

export function viewOfSupply(supply: Supply): z.output<typeof supplyView> {
  const { id, patient, pharmacy, recordedAt, matchedTo, dispenses, doses } = supply;
  return {
    id,
    patient,
    pharmacy,
    recordedAt,
    matchedTo,
    dispenses: dispenses.map(viewOfDispense),
    doses: doses.map((dose) => ({ ...viewOfDose(dose), medication: dose.medication })),
  };
}
