/**
 * Reasons for refusing an item of an import. The sentences repeat nothing from the input, so a refusal may be printed
 * and kept anywhere. Codes are stable.
 */
export const IMPORT_REASONS = {
  'import.unreadable': 'The file cannot be read.',
  'import.empty': 'The file is empty.',
  'import.too-large': 'One JSON document is larger than can be read; make it NDJSON.',
  'import.bad-encoding': 'It is not UTF-8.',
  'import.bad-json': 'It is not JSON.',
  'import.bad-text': 'A text holds NUL or half a surrogate pair.',
  'import.bad-number': 'A number is beyond what JSON systems agree on.',
  'import.too-deep': 'It is nested too deeply.',
  'import.not-a-resource': 'It is not a FHIR resource.',
  'import.bundle-type': 'The Bundle is not of type transaction, batch or collection.',
  'import.modifier': 'It says that it must not be understood without an extension or rules that are not known here.',
  'import.not-an-order': 'Its intent is not that of an order, or it forbids the medication.',
  'import.draft': 'It is a draft.',
  'import.bad-status': 'Its status is not one of FHIR R4.',
  'import.no-subject': 'It names no patient.',
  'import.not-a-patient': 'Its subject is not a patient.',
  'import.unknown-patient': 'Its patient is in none of the files.',
  'import.patient-refused': 'Its patient was refused.',
  'import.patient-ambiguous': 'The identifiers of the patient belong to different patients here.',
  'import.patient-conflict': 'A patient with the same identifier and another birth date is known.',
  'import.bad-birth-date': 'The birth date is not a date.',
  'import.no-medication': 'It names no medication, or two.',
  'import.no-medication-code': 'Its medication has no code.',
  'import.unknown-medication': 'Its medication resource is in none of the files.',
  'import.bad-date': 'The date of authoring is not a date.',
  'import.bad-quantity': 'The quantity is not a positive plain amount.',
  'import.bad-days-supply': 'The expected supply duration is not positive.',
  'import.bad-refills': 'The number of repeats is not a whole number from 0 to 999.',
  'import.no-number': 'It has neither an identifier nor an id.',
  'import.no-requester': 'Nobody is named as requester, and no organisation either.',
  'import.unknown-requester': 'Its requester is in none of the files.',
  'import.unknown-organisation': 'The organisation it belongs to is in none of the files and has no UUID.',
  'import.ambiguous-reference': 'A reference fits different resources in these files.',
} as const;

export type ImportReason = keyof typeof IMPORT_REASONS;

export interface ImportRefusal {
  /** File with line (`file:12`) or entry (`file:entry[3]`). */
  readonly source: string;
  /** An {@link ImportReason}, or the ledger's stable refusal code. */
  readonly reason: string;
}

/** A refusal as a return value, recognised by its class. */
export class Refusal {
  constructor(readonly reason: ImportReason) {}
}
