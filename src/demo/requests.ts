/** The HTTP requests of the demo, one function each. They return the answer; the stories check it. */
import type { CANCEL_REASONS } from '../prescribing/decide.js';
import type { CORRECTION_REASONS, SKIP_REASONS } from '../adherence/decide.js';
import type { REPORT_REASONS, REVERSAL_REASONS } from '../dispensing/decide-afterwards.js';
import type { NOT_DISPENSED_REASONS, RELEASE_REASONS } from '../dispensing/decide.js';
import type { Receipts } from '../http/write/receipt-schema.js';
import type { Medication, Quantity } from '../prescription/events.js';
import { type Drug, findDrug, RXNORM } from '../prescription/drugs/formulary.js';
import type { RunOut } from '../prescription/run-out.js';
import type { PrescriptionView } from '../prescription/views/prescription-view.js';
import type { PatientPerson, PatientRef, Person } from './cast.js';
import type { Answer } from './client.js';

export interface Product {
  readonly medication: Medication;
  /** In everyday words, for example `lisinopril 10 mg`. */
  readonly words: string;
  readonly unit: '{tablet}' | '{capsule}';
}

/** @throws {Error} for a code that the formulary does not have */
export function product(rxcui: string): Product {
  const drug = findDrug(rxcui);
  if (!drug) throw new Error(`the formulary has no ${rxcui}`);
  return {
    medication: { system: RXNORM, code: drug.rxcui, display: drug.name },
    words: `${drug.ingredient} ${drug.strength.toLowerCase()}`,
    unit: unitOf(drug),
  };
}

const unitOf = ({ form }: Drug) => (form.endsWith('Capsule') ? '{capsule}' : '{tablet}');

const amount = (value: number, { unit }: Product): Quantity => ({ value: String(value), unit });

/** `30 tablets` */
export function count(value: number, { unit }: Product): string {
  const word = unit.slice(1, -1);
  return `${value} ${value === 1 ? word : `${word}s`}`;
}

export type Written = Receipts & { readonly prescription: PrescriptionView };
export type Issued = Written & { readonly token: string };
export type Claimed = Written & {
  readonly claim: { readonly claimId: string; readonly issue: number; readonly secret: string };
};

export type Dispensed = Written & { readonly dispenseId: string };
/** Id of the prescription or supply on which the report was recorded. */
export type Reported = Receipts & { readonly id: string };

export interface NewOrder {
  readonly patient: PatientRef;
  readonly product: Product;
  readonly quantity: number;
  readonly daysSupply: number;
  readonly directions: string;
  readonly refills?: number;
  readonly number?: string;
  readonly earliestFillOn?: string;
  readonly nominated?: Person;
}

export function prescribe(by: Person, order: NewOrder): Promise<Answer<Issued>> {
  const { patient, product: what, quantity, daysSupply, directions, refills, number, earliestFillOn } = order;
  return by.client.post('/api/prescriptions', {
    patient: patient.id,
    medication: what.medication,
    quantity: amount(quantity, what),
    daysSupply,
    directions,
    refills: refills ?? 0,
    number: number ?? null,
    earliestFillOn: earliestFillOn ?? null,
    nominatedPharmacy: order.nominated?.org ?? null,
  });
}

const path = (id: string, verb: string) => `/api/prescriptions/${id}/${verb}`;

export interface Cancel {
  readonly reason: (typeof CANCEL_REASONS)[number];
}

export function cancel(by: Person, rx: PrescriptionView, body: Cancel): Promise<Answer<Written>> {
  return by.client.post(path(rx.id, 'cancel'), body);
}

export function cancelByNumber(by: Person, body: Cancel & { readonly number: string }): Promise<Answer<Written>> {
  return by.client.post('/api/cancellations', body);
}

/** @param token shown by the patient; without it the pharmacy needs a nomination or refills */
export function claim(by: Person, rx: PrescriptionView, token?: string): Promise<Answer<Claimed>> {
  return by.client.post(path(rx.id, 'claim'), token === undefined ? {} : { token });
}

export function release(
  by: Person,
  { prescription, claim: { secret } }: Claimed,
  reason: (typeof RELEASE_REASONS)[number],
): Promise<Answer<Written>> {
  return by.client.post(path(prescription.id, 'release'), { secret, reason });
}

export interface HandedOver {
  readonly product: Product;
  readonly quantity: number;
  readonly daysSupply: number;
}

/** @param key Idempotency-Key, for repeating the same request */
export function dispense(
  by: Person,
  { prescription, claim: { secret } }: Claimed,
  { product: what, quantity, daysSupply }: HandedOver,
  key?: string,
): Promise<Answer<Dispensed>> {
  return by.client.post(
    path(prescription.id, 'dispenses'),
    { secret, quantity: amount(quantity, what), daysSupply },
    key,
  );
}

export function notDispensed(
  by: Person,
  { prescription, claim: { secret } }: Claimed,
  reason: (typeof NOT_DISPENSED_REASONS)[number],
): Promise<Answer<Written>> {
  return by.client.post(path(prescription.id, 'not-dispensed'), { secret, reason });
}

export function reverse(
  by: Person,
  rx: PrescriptionView,
  dispenseId: string,
  reason: (typeof REVERSAL_REASONS)[number],
): Promise<Answer<Written>> {
  return by.client.post(path(rx.id, `dispenses/${dispenseId}/reverse`), { reason });
}

export interface Report extends HandedOver {
  /** Issuing practice and its order number. */
  readonly order: { readonly issuer: Person; readonly number: string };
  /** RFC 3339. */
  readonly whenHandedOver: string;
  readonly reason: (typeof REPORT_REASONS)[number];
}

export function report(by: Person, { order, product: what, quantity, ...said }: Report): Promise<Answer<Reported>> {
  return by.client.post('/api/dispense-reports', {
    order: { issuer: order.issuer.org, number: order.number },
    medication: what.medication,
    quantity: amount(quantity, what),
    daysSupply: said.daysSupply,
    whenHandedOver: said.whenHandedOver,
    reason: said.reason,
  });
}

export type Dosed = Receipts & { readonly dose: { readonly doseId: string }; readonly runOut: RunOut | null };

export type NewDose =
  | { readonly outcome: 'taken' }
  | { readonly outcome: 'skipped'; readonly reason: (typeof SKIP_REASONS)[number] };

export function dose(by: PatientPerson, rx: PrescriptionView, body: NewDose): Promise<Answer<Dosed>> {
  return by.client.post(path(rx.id, 'doses'), body);
}

export interface Correction {
  readonly outcome: 'taken' | 'skipped' | 'entered-in-error';
  /** RFC 3339. */
  readonly at: string;
  readonly reason: (typeof CORRECTION_REASONS)[number];
}

export function correctDose(
  by: PatientPerson,
  rx: PrescriptionView,
  doseId: string,
  body: Correction,
): Promise<Answer<Dosed>> {
  return by.client.post(path(rx.id, `doses/${doseId}/correct`), body);
}

export interface NewPatient {
  readonly name: string;
  readonly birthDate: string;
  readonly address: string;
  readonly number: string;
}

export function enrol(
  by: Person,
  { number, ...said }: NewPatient,
): Promise<Answer<Receipts & { patient: PatientRef }>> {
  return by.client.post('/api/patients', { ...said, identifiers: [{ system: 'urn:rxledger:demo', value: number }] });
}
