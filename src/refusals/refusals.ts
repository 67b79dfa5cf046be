/**
 * Every stable refusal code with its HTTP status and title: the one table. A code says what is wrong,
 * never about whom; invalid transitions are 409 with the current state in the facts, not 403.
 */
import { REQUEST_REFUSALS } from './request-refusals.js';

export const REFUSALS = {
  ...REQUEST_REFUSALS,

  'ledger.chain-unknown': { status: 404, title: 'There is no such record' },
  'ledger.chain-taken': { status: 409, title: 'The proposed id is taken' },
  'ledger.erased': { status: 410, title: 'The record was erased' },
  'idempotency.key-reused': { status: 422, title: 'The Idempotency-Key was used for another request' },
  'idempotency.in-progress': { status: 409, title: 'The request with this Idempotency-Key is still running' },

  'signature.required': { status: 422, title: 'You sign what you record: sign the statement and send it again' },
  'signature.command-id-missing': {
    status: 422,
    title: 'What is signed needs an Idempotency-Key, which is signed too',
  },
  'signature.malformed': { status: 422, title: 'The signature is no detached JWS of the form that is taken here' },
  'signature.not-now': { status: 422, title: 'The instant that is signed is more than five minutes from now' },
  'signature.key-unknown': { status: 403, title: 'The key that signed is none of yours' },
  'signature.key-revoked': { status: 403, title: 'The key that signed is revoked' },
  'signature.wrong': { status: 422, title: 'The signature is not one of what would be recorded' },
  'signature.possession-missing': { status: 422, title: 'The key to be enrolled has to sign the statement too' },
  'actor-key.unknown': { status: 404, title: 'You have no such key' },
  'actor-key.taken': { status: 409, title: 'The key is enrolled already' },
  'actor-key.revoked': { status: 409, title: 'The key is revoked' },
  'actor-key.too-many': { status: 409, title: 'You have too many keys, in force or ever' },

  'quantity.invalid': { status: 422, title: 'The quantity is not a positive decimal number with a unit' },
  'quantity.unit-mismatch': { status: 422, title: 'The quantity is in another unit than the order' },

  'prescription.incomplete': { status: 422, title: 'Required fields of the prescription are missing' },
  'prescription.number-taken': { status: 409, title: 'The issuer has an order with this number' },
  'prescription.not-dated-today': { status: 422, title: 'A prescription is dated the day it is issued' },
  'prescription.too-many-refills': { status: 422, title: 'More refills than the drug may have' },
  'prescription.never-fillable': { status: 422, title: 'The earliest fill date is after the end of validity' },

  'prescription.pharmacy-unknown': { status: 422, title: 'The nominated pharmacy is not known' },
  'prescription.already-claimed-by-you': {
    status: 409,
    title: 'Your pharmacy holds it; its claim secret can be recovered',
  },
  'prescription.claimed-elsewhere': { status: 409, title: 'Another pharmacy holds it' },
  'prescription.refills-elsewhere': { status: 409, title: 'The refills stay at another pharmacy' },
  'prescription.cancel-pending': { status: 409, title: 'The prescriber has asked to cancel it' },
  'prescription.cancelled': { status: 409, title: 'The prescription is cancelled' },
  'prescription.expired': { status: 409, title: 'The prescription has expired' },
  'prescription.dispensed': { status: 409, title: 'The prescription is dispensed' },
  'prescription.not-dispensed': { status: 409, title: 'The prescription was closed as not dispensed' },
  'prescription.not-active': { status: 409, title: 'The prescription is not active' },
  'prescription.not-ready': { status: 409, title: 'It may not be filled yet' },
  'prescription.historical': { status: 409, title: 'Imported history without a quantity is no offer' },

  'claim.token-wrong': { status: 403, title: 'The token is not that of this prescription' },
  'claim.not-entitled': { status: 403, title: 'A token, a nomination or its refills are needed to claim it' },
  'claim.none': { status: 409, title: 'Nobody holds the prescription' },
  'claim.not-holder': { status: 403, title: 'Another pharmacy holds the prescription' },
  'claim.secret-wrong': { status: 403, title: 'The claim secret is wrong' },

  'dispense.duplicate': { status: 409, title: 'There is a dispense with this id' },
  'dispense.too-many-reports': { status: 409, title: 'Your pharmacy has reported too many dispenses of this order' },
  'dispense.in-future': { status: 422, title: 'The handing-over is in the future' },
  'dispense.before-claim': { status: 422, title: 'The handing-over is before the claim' },
  'dispense.too-early': { status: 409, title: 'The handing-over is before the earliest fill date' },
  'dispense.over-authorised': { status: 409, title: 'More than what is left of the authorised quantity' },
  'dispense.drug-not-allowed': { status: 409, title: 'Another drug than the order allows' },
  'dispense.unknown': { status: 404, title: 'There is no such dispense' },
  'dispense.other-pharmacy': { status: 403, title: 'Another pharmacy recorded the dispense' },
  'dispense.already-reversed': { status: 409, title: 'The dispense is reversed already' },
  'dispense.later-issue': { status: 409, title: 'A later issue is claimed or dispensed' },

  'supply.already-matched': { status: 409, title: 'The supply is matched already' },
  'supply.other-patient': { status: 409, title: 'The supply and the prescription are of two patients' },

  'cancel.dispensed': { status: 409, title: 'Too late to cancel: dispensed' },
  'cancel.expired': { status: 409, title: 'Too late to cancel: expired' },
  'cancel.already-cancelled': { status: 409, title: 'The prescription is cancelled already' },
  'cancel.not-dispensed': { status: 409, title: 'Nothing to cancel: closed as not dispensed' },
  'cancel.already-pending': { status: 409, title: 'A cancellation is waiting already' },
  'cancel.not-active': { status: 409, title: 'Nothing to cancel: the prescription is not active' },

  'dose.duplicate': { status: 409, title: 'There is a dose with this id' },
  'dose.in-future': { status: 422, title: 'The dose is in the future' },
  'dose.unknown': { status: 404, title: 'There is no such dose among the latest' },

  'patient.already-enrolled': { status: 409, title: 'The patient is enrolled already' },
  'patient.name-missing': { status: 422, title: 'The name of the patient is missing' },
  'patient.on-hold': { status: 409, title: 'A retention hold keeps the record from being erased' },
  'hold.until-past': { status: 422, title: 'The last day of the hold is over' },
  'hold.unknown': { status: 404, title: 'There is no such hold' },
  'hold.already-released': { status: 409, title: 'The hold is released already' },
  'access.reason-missing': { status: 422, title: 'Access without a relation needs a reason' },
  'disclosure.recipient-missing': { status: 422, title: 'A disclosure says to whom it is given' },
  'disclosure.member-unknown': { status: 422, title: 'The payload has no such member' },
  'disclosure.signature-alone': {
    status: 422,
    title: 'A signature is shown with all that it covers: actor, data, occurredAt and type',
  },
  'disclosure.whole-only': { status: 409, title: 'The entry is of a form that is shown whole or not at all' },
  'disclosure.no-patient': { status: 409, title: 'The entry is of no enrolled patient, whose record would say so' },
  'disclosure.not-cleared': { status: 403, title: 'Not all of these members were cleared for you' },
  'disclosure.auditor-unknown': { status: 422, title: 'There is no such auditor' },
  'discrepancy.unknown': { status: 404, title: 'There is no such discrepancy' },
  'discrepancy.already-resolved': { status: 409, title: 'The discrepancy is resolved already' },
} as const satisfies Record<string, { status: number; title: string }>;

export type RefusalCode = keyof typeof REFUSALS;
