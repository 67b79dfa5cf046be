/** What prescribers, pharmacists and patients can be refused about orders, fills and doses: status and title of each stable code. */
export const CARE_REFUSALS = {
  'quantity.invalid': {
    status: 422,
    title:
      'The quantity must be a decimal number above zero with a unit. Nothing was recorded. Correct it and send it again.',
  },
  'quantity.unit-mismatch': {
    status: 422,
    title: 'The order has another unit: see `expected`. Nothing was recorded. Give the quantity in that unit.',
  },

  'prescription.incomplete': {
    status: 422,
    title:
      'Required fields are missing: see `missing`. The prescription was not issued. Fill them in and send it again.',
  },
  'prescription.number-taken': {
    status: 409,
    title: 'Your practice already has an order with this number. This one was not issued. Choose another number.',
  },
  'prescription.not-dated-today': {
    status: 422,
    title: 'A prescription must bear the date on which it is issued: see `today`. It was not issued. Correct the date.',
  },
  'prescription.too-many-refills': {
    status: 422,
    title: 'A drug of this schedule may have at most `limit` refills. The prescription was not issued. Allow fewer.',
  },
  'prescription.never-fillable': {
    status: 422,
    title:
      'The earliest fill date must not be after `validUntil`. The prescription was not issued. Choose an earlier date.',
  },
  'prescription.pharmacy-unknown': {
    status: 422,
    title:
      'The nominated pharmacy is not known here. The prescription was not issued. Choose one from the directory, or none.',
  },
  'prescription.already-claimed-by-you': {
    status: 409,
    title:
      'Your pharmacy already holds this prescription. Nothing was changed. Ask for its claim secret again and go on.',
  },
  'prescription.claimed-elsewhere': {
    status: 409,
    title: 'Another pharmacy holds this prescription. You have not claimed it. That pharmacy must release it first.',
  },
  'prescription.refills-elsewhere': {
    status: 409,
    title: 'The refills stay with the pharmacy that dispensed last. You have not claimed it. Send the patient there.',
  },
  'prescription.cancel-pending': {
    status: 409,
    title: 'The prescriber has asked to cancel this prescription. You have not claimed it. Ask the practice.',
  },
  'prescription.cancelled': {
    status: 409,
    title:
      'The prescriber has cancelled this prescription. Nothing was recorded. Ask the practice whether there is a new one.',
  },
  'prescription.expired': {
    status: 409,
    title: 'This prescription is no longer valid: see `validUntil`. Nothing was recorded. The patient needs a new one.',
  },
  'prescription.dispensed': {
    status: 409,
    title: 'This prescription is dispensed already. You have not claimed it. The patient needs a new one.',
  },
  'prescription.not-dispensed': {
    status: 409,
    title:
      'A pharmacy closed this prescription as not dispensed. You have not claimed it. The patient needs a new one.',
  },
  'prescription.not-active': {
    status: 409,
    title: 'This prescription is not active: see `status`. Nothing was recorded. Ask the practice.',
  },
  'prescription.not-ready': {
    status: 409,
    title:
      'This prescription may not be filled before `earliestFillOn`. You have not claimed it. Claim it on that day.',
  },
  'prescription.historical': {
    status: 409,
    title:
      'This order was imported as history and cannot be filled. Nothing was recorded. The patient needs a new prescription.',
  },

  'claim.token-wrong': {
    status: 403,
    title:
      'Prescription and token do not belong together. You have not claimed it. Check both; each prescription has a token of its own.',
  },
  'claim.not-entitled': {
    status: 403,
    title:
      "Without the patient's token you cannot claim this prescription. Nothing was recorded. Ask the patient to show it.",
  },
  'claim.none': {
    status: 409,
    title: 'No pharmacy holds this prescription. Nothing was recorded. Claim it first.',
  },
  'claim.not-holder': {
    status: 403,
    title:
      'Another pharmacy holds this prescription. Nothing was recorded. That pharmacy must release it before you can claim it.',
  },
  'claim.secret-wrong': {
    status: 403,
    title: 'The claim secret is wrong. Nothing was recorded. Ask for it again and send the request with it.',
  },

  'dispense.duplicate': {
    status: 409,
    title:
      'A dispense with this id is recorded already. Nothing was recorded again. Send another id if this is a second one.',
  },
  'dispense.too-many-reports': {
    status: 409,
    title:
      'Your pharmacy has reported `most` dispenses of this order, the most that are accepted. This one was not recorded. Call the practice.',
  },
  'dispense.in-future': {
    status: 422,
    title: 'The time of handing over must not be in the future. Nothing was recorded. Correct whenHandedOver.',
  },
  'dispense.before-claim': {
    status: 422,
    title:
      'The time of handing over must not be before the claim: see `claimedAt`. Nothing was recorded. Correct whenHandedOver.',
  },
  'dispense.too-early': {
    status: 409,
    title:
      'This prescription may not be handed over before `earliestFillOn`. Nothing was recorded. Dispense it on or after that day.',
  },
  'dispense.over-authorised': {
    status: 409,
    title:
      'At most `remaining` may still be handed over. Nothing was recorded. Lower the quantity, or ask for a new prescription.',
  },
  'dispense.drug-not-allowed': {
    status: 409,
    title:
      'The order does not allow this drug. Nothing was recorded. Dispense what was ordered, or ask the prescriber.',
  },
  'dispense.unknown': {
    status: 404,
    title: 'This prescription has no dispense with this id. Nothing was recorded. Check the id.',
  },
  'dispense.other-pharmacy': {
    status: 403,
    title: 'Another pharmacy recorded this dispense. Nothing was recorded. Only that pharmacy can reverse it.',
  },
  'dispense.already-reversed': {
    status: 409,
    title: 'This dispense is reversed already. Nothing was recorded. There is nothing left to do.',
  },
  'dispense.later-issue': {
    status: 409,
    title:
      'A later refill is claimed or dispensed: see `issue`. Nothing was recorded. Release or reverse that one first.',
  },

  'supply.already-matched': {
    status: 409,
    title:
      'This supply is matched to a prescription already: see `prescription`. Nothing was recorded. Compare the two.',
  },
  'supply.other-patient': {
    status: 409,
    title:
      'Supply and prescription belong to different patients. Nothing was recorded. Choose a prescription of the same patient.',
  },

  'cancel.dispensed': {
    status: 409,
    title:
      'It is too late to cancel: the prescription is dispensed. Nothing was recorded. Call the patient or the pharmacy.',
  },
  'cancel.expired': {
    status: 409,
    title:
      'This prescription has expired, so nobody can fill it. No cancellation was recorded. There is nothing left to do.',
  },
  'cancel.already-cancelled': {
    status: 409,
    title: 'This prescription is cancelled already. Nothing was recorded again. There is nothing left to do.',
  },
  'cancel.not-dispensed': {
    status: 409,
    title:
      'A pharmacy closed this prescription as not dispensed. No cancellation was recorded. There is nothing left to do.',
  },
  'cancel.already-pending': {
    status: 409,
    title:
      'A cancellation of this prescription is waiting already: see `effect`. Nothing was recorded again. Call the pharmacy if it is urgent.',
  },
  'cancel.not-active': {
    status: 409,
    title:
      'This prescription is not active: see `status`. No cancellation was recorded. Look for the order that replaced it.',
  },

  'dose.duplicate': {
    status: 409,
    title:
      'A dose with this id is recorded already. Nothing was recorded again. Send another id if this is a second dose.',
  },
  'dose.in-future': {
    status: 422,
    title: 'The time of the dose must not be in the future. Nothing was recorded. Correct `at`.',
  },
  'dose.unknown': {
    status: 404,
    title: 'There is no such dose among the latest. Nothing was recorded. Check the id.',
  },
} as const satisfies Record<string, { status: number; title: string }>;
