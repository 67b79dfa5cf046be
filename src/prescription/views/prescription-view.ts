/** A prescription as answers tell it. Secrets and their hashes are no part of it. */
import { z } from 'zod';
import type { Dispense, Prescription } from '../state.js';
import { dispensedQuantity } from '../queries.js';
import { runOut } from '../run-out.js';

export const quantity = z
  .strictObject({
    unit: z.string().min(1).max(40).describe('UCUM, for example {tablet} or mL').meta({ example: '{tablet}' }),
    value: z
      .string()
      .max(20)
      .regex(
        /^\d{1,12}(\.\d{1,6})?$/,
        'must be a decimal number as text, with at most 12 digits before the point and 6 after it',
      )
      .describe('a decimal number as text, for example "30" or "2.5"')
      .meta({ example: '30' }),
  })
  .meta({ id: 'Quantity', title: 'Quantity' });

const product = {
  code: z.string().min(1).max(40).describe('in RxNorm the RxCUI'),
  display: z.string().trim().min(1).max(300).describe('name for people'),
};

/** A medicine as answers tell it. */
export const medication = z
  .strictObject({ ...product, system: z.string().describe('URI of the code system') })
  .meta({ id: 'Medication', title: 'Medication' });

/** A medicine as requests bring it. */
export const givenMedication = z
  .strictObject({
    ...product,
    system: z
      .string()
      .min(1)
      .max(200)
      .default('http://www.nlm.nih.gov/research/umls/rxnorm')
      .describe('URI of the code system; left out: RxNorm'),
  })
  .meta({ id: 'GivenMedication', title: 'GivenMedication' });

const FOUR_DIGIT_YEAR = /^(?!0000)\d{4}-/;

/** A legal date. */
export const date = z.iso.date();
/** RFC 3339 with any offset; kept as UTC with milliseconds. In UTC too its year is one of four digits, and not 0000. */
export const instant = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text).toISOString())
  .refine((utc) => FOUR_DIGIT_YEAR.test(utc), 'must be in the years 0001 to 9999')
  .meta({ type: 'string', format: 'date-time' });

const issueView = z
  .object({
    number: z.number().int().describe('0 is the original fill, 1 the first refill'),
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
    earliestFillOn: z.string().nullable().describe('first day on which it may be filled'),
    holder: z.uuid().nullable().describe('the pharmacy that has claimed it'),
    claimedAt: z.string().nullable(),
    dispensed: quantity.nullable().describe('handed over so far'),
  })
  .meta({ id: 'Issue', title: 'Issue', description: 'One fill that a prescription authorises.' });

export const dispenseView = z
  .object({
    dispenseId: z.string(),
    issue: z.number().int().nullable().describe('number of the issue; null: not known'),
    pharmacy: z.uuid(),
    medication,
    quantity,
    daysSupply: z.number(),
    whenHandedOver: z.string(),
    recordedAt: z.string(),
    reported: z.boolean().describe('true: reported afterwards, without a claim'),
    reversed: z.boolean().describe('true: taken back'),
  })
  .meta({ id: 'Dispense', title: 'Dispense', description: 'One handing-over.' });

export const runOutView = z
  .object({ date: z.string().describe('first day without supply'), daysLeft: z.number().int() })
  .meta({ id: 'RunOut', title: 'RunOut' });

export const prescriptionView = z
  .object({
    id: z.uuid(),
    issuer: z.string().describe('the practice that issued it'),
    number: z.string().describe("the practice's own order number"),
    status: z
      .enum(['active', 'on-hold', 'completed', 'cancelled', 'stopped', 'replaced', 'entered-in-error'])
      .nullable()
      .describe('null: the order itself has not arrived, only its cancellation or a report'),
    historical: z.boolean().describe('true: imported history'),
    patient: z.uuid().nullable(),
    prescriber: z.string().nullable().describe('id of their account'),
    medication: medication.nullable(),
    directions: z.string().nullable(),
    quantity: quantity.nullable().describe('of one issue'),
    daysSupply: z.number().nullable(),
    refills: z.number().int().nullable().describe('how many after the original fill'),
    substitutionAllowed: z.boolean().nullable(),
    schedule: z.enum(['II', 'III', 'IV', 'V']).nullable(),
    writtenOn: z.string().nullable(),
    earliestFillOn: z.string().nullable(),
    validUntil: z.string().nullable().describe('last day on which it may be filled'),
    zone: z.string().nullable().describe('IANA time zone in which its days count'),
    nominatedPharmacy: z.uuid().nullable(),
    note: z.string().nullable(),
    recordedAt: z.string(),
    cancel: z
      .object({ reason: z.string(), recordedAt: z.string(), effect: z.enum(['held', 'pending', 'applied']) })
      .nullable(),
    refillHolder: z.uuid().nullable().describe('the pharmacy at which the refills stay'),
    issues: z.array(issueView),
    dispenses: z.array(dispenseView),
    runOut: runOutView.nullable(),
  })
  .meta({ id: 'Prescription', title: 'Prescription' });
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
