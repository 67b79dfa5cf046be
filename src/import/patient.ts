import type { JsonObject } from '../ledger/core/record/event.js';
import type { PatientEnrolled } from '../patient/state.js';
import { address, humanName, isDate, isModified } from './fhir-values.js';
import { patientIdentifiers } from './index-of-resources.js';
import type { Item } from './parse.js';
import { type ImportReason, Refusal } from './reasons.js';

export type PatientResult =
  | { readonly ok: true; readonly data: PatientEnrolled['data'] }
  | { readonly ok: false; readonly reason: ImportReason };

/** The name of a patient whose source gives none. */
const UNNAMED = 'Unnamed patient';
/** FHIR R4 date: a year, a month or a day. */
const FHIR_DATE = /^\d{4}(-(0[1-9]|1[0-2])(-\d{2})?)?$/;

function birthDate(resource: JsonObject): string | null | Refusal {
  const value = resource['birthDate'] ?? null;
  if (value === null) return null;
  if (typeof value !== 'string' || !FHIR_DATE.test(value)) return new Refusal('import.bad-birth-date');
  if (value.length < 10) return null;
  return isDate(value) ? value : new Refusal('import.bad-birth-date');
}

/**
 * Converts a FHIR R4 Patient that the index has accepted to an enrolment. The resource is kept verbatim. A birth date
 * that is only a year or a month is kept only there.
 */
export function toEnrolment(item: Item): PatientResult {
  const { resource } = item;
  if (isModified(resource)) return { ok: false, reason: 'import.modifier' };
  const born = birthDate(resource);
  if (born instanceof Refusal) return { ok: false, reason: born.reason };
  return {
    ok: true,
    data: {
      name: humanName(resource['name']) ?? UNNAMED,
      birthDate: born,
      identifiers: patientIdentifiers(resource, item.fullUrl),
      address: address(resource['address']),
      source: resource,
    },
  };
}
