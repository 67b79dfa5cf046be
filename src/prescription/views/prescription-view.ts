/** A prescription as answers tell it. Secrets and their hashes are no part of it. */
import { z } from 'zod';
import type { Dispense, Prescription } from '../state.js';
import { dispensedQuantity } from '../queries.js';
import { runOut } from '../run-out.js';

export const quantity = z
  .strictObject({
    unit: z.string().min(1).max(40).describe('UCUM, for example {tablet} or mL'),
    value: z
      .string()
      .max(20)
      .regex(
        /^\d{1,12}(\.\d{1,6})?$/,
        'must be a decimal number as text, with at most 12 digits before the point and 6 after it',
      ),
  })
  .meta({ title: 'Quantity' });

export const medication = z
  .strictObject({
    code: z.string().min(1).max(40).describe('RxCUI'),
    display: z.string().trim().min(1).max(300),
    system: z.string().min(1).max(200).default('http://www.nlm.nih.gov/research/umls/rxnorm'),
  })
  .meta({ title: 'Medication' });

const FOUR_DIGIT_YEAR = /^(?!0000)\d{4}-/;

/** A legal date. */
export const date = z.iso.date();
/** RFC 3339 with any offset; kept as UTC with milliseconds. In UTC too its year is one of four digits, and not 0000. */
export const instant = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text).toISOString())
  .refine((utc) => FOUR_DIGIT_YEAR.test(utc), 'must be in the years 0001 to 9999')
  .meta({ type: 'string', format: 'date-time' });

const issueView = z.object({
  number: z.number().int().describe('0 = original fill, then refills'),
  status: z.enum([
    'future',
    'ready',
    'claimed',
    'part-dispensed',
    'dispensed',
    'not-dispensed',
    'expired',
    'cancelled',
  ]),
  earliestFillOn: z.string().nullable(),
  holder: z.uuid().nullable().describe('pharmacy that holds the claim'),
  claimedAt: z.string().nullable(),
  dispensed: quantity.nullable().describe('handed over under claims of this issue'),
});

export const dispenseView = z.object({
  dispenseId: z.string(),
  issue: z.number().int().nullable(),
  pharmacy: z.uuid(),
  medication,
  quantity,
  daysSupply: z.number(),
  whenHandedOver: z.string(),
  recordedAt: z.string(),
  reported: z.boolean().describe('recorded after the fact, not under a claim'),
  reversed: z.boolean(),
});

export const runOutView = z
  .object({ date: z.string(), daysLeft: z.number().int() })
  .nullable()
  .describe('first day without supply');

export const prescriptionView = z
  .object({
    id: z.uuid(),
    issuer: z.string().describe('organisation that issued it'),
    number: z.string().describe("the issuer's order number"),
    status: z
      .enum(['active', 'on-hold', 'completed', 'cancelled', 'stopped', 'replaced', 'entered-in-error'])
      .nullable()
      .describe('null: only a cancel or a report arrived so far'),
    historical: z.boolean(),
    patient: z.uuid().nullable(),
    prescriber: z.string().nullable().describe('account'),
    medication: medication.nullable(),
    directions: z.string().nullable(),
    quantity: quantity.nullable().describe('of one issue'),
    daysSupply: z.number().nullable(),
    refills: z.number().int().nullable(),
    substitutionAllowed: z.boolean().nullable(),
    schedule: z.enum(['II', 'III', 'IV', 'V']).nullable(),
    writtenOn: z.string().nullable(),
    earliestFillOn: z.string().nullable(),
    validUntil: z.string().nullable().describe('last legal day on which it may be filled'),
    zone: z.string().nullable().describe('IANA zone of its legal dates'),
    nominatedPharmacy: z.uuid().nullable(),
    note: z.string().nullable(),
    recordedAt: z.string(),
    cancel: z
      .object({ reason: z.string(), recordedAt: z.string(), effect: z.enum(['held', 'pending', 'applied']) })
      .nullable(),
    refillHolder: z.uuid().nullable(),
    issues: z.array(issueView),
    dispenses: z.array(dispenseView),
    runOut: runOutView,
  })
  .meta({ title: 'Prescription' });
export type PrescriptionView = z.output<typeof prescriptionView>;

/** @param now ms since 1970, for the days of supply that are left */
export function viewOf(rx: Prescription, now: number): PrescriptionView {
  const { order } = rx;
  const authorised = order?.quantity ?? null;
  return {
    id: rx.id,
    issuer: rx.name.issuer,
    number: rx.name.number,
    status: rx.status,
    historical: order?.historical ?? false,
    patient: order?.patient ?? null,
    prescriber: order?.prescriber.id ?? null,
    medication: order?.medication ?? null,
    directions: order?.directions ?? null,
    quantity: authorised,
    daysSupply: order?.daysSupply ?? null,
    refills: order?.refills ?? null,
    substitutionAllowed: order?.substitutionAllowed ?? null,
    schedule: order?.schedule ?? null,
    writtenOn: order?.writtenOn ?? null,
    earliestFillOn: order?.earliestFillOn ?? null,
    validUntil: order?.validUntil ?? null,
    zone: order?.zone ?? null,
    nominatedPharmacy: order?.nominatedPharmacy ?? null,
    note: order?.note ?? null,
    recordedAt: rx.recordedAt,
    cancel: rx.cancel && { reason: rx.cancel.reason, recordedAt: rx.cancel.recordedAt, effect: rx.cancel.effect },
    refillHolder: rx.refillHolder,
    issues: rx.issues.map(({ number, status, earliestFillOn, claim }) => ({
      number,
      status,
      earliestFillOn,
      holder: claim?.pharmacy ?? null,
      claimedAt: claim?.claimedAt ?? null,
      dispensed: authorised && dispensedQuantity(rx, number, authorised),
    })),
    dispenses: rx.dispenses.map(viewOfDispense),
    runOut: runOut(rx, now),
  };
}

export function viewOfDispense(dispense: Dispense): z.output<typeof dispenseView> {
  const { dispenseId, issue, pharmacy, quantity: amount, daysSupply, whenHandedOver, recordedAt, claim } = dispense;
  return {
    dispenseId,
    issue,
    pharmacy,
    medication: dispense.medication,
    quantity: amount,
    daysSupply,
    whenHandedOver,
    recordedAt,
    reported: claim === null,
    reversed: dispense.reversed,
  };
}
