/** What can be refused about records of whatever kind, the people in them and the keys that sign: status and title of each stable code. */
export const RECORD_REFUSALS = {
  'ledger.chain-unknown': {
    status: 404,
    title: 'There is no such record, or none that you may see. Nothing was recorded. Check the id.',
  },
  'ledger.chain-taken': {
    status: 409,
    title: 'The id that you proposed is in use. Nothing was recorded. Propose another random id, or none.',
  },
  'ledger.erased': {
    status: 410,
    title:
      'This record was erased and takes no more entries. Nothing was recorded. Ask your administrator if you think that is wrong.',
  },
  'idempotency.key-reused': {
    status: 422,
    title:
      'This Idempotency-Key was used for another request. Nothing was recorded. Use a new key for each new request.',
  },
  'idempotency.in-progress': {
    status: 409,
    title: 'The first request with this Idempotency-Key is still running. Wait a moment, then send it again unchanged.',
  },

  'signature.required': {
    status: 422,
    title: 'You sign what you record. Nothing was recorded yet. Check `statement`, sign it and send the request again.',
  },
  'signature.command-id-missing': {
    status: 422,
    title:
      'A signed request needs an Idempotency-Key, which is signed too. Nothing was recorded. Send it again with one.',
  },
  'signature.malformed': {
    status: 422,
    title:
      'The signature is not a detached JWS of the accepted form. Nothing was recorded. Make it with `rxledger keys sign`.',
  },
  'signature.not-now': {
    status: 422,
    title:
      'The signed time is more than five minutes from `now`. Nothing was recorded. Check your clock and sign again.',
  },
  'signature.key-unknown': {
    status: 403,
    title:
      'This signature was made with a key that is not yours. Nothing was recorded. Sign with a key that you enrolled.',
  },
  'signature.key-revoked': {
    status: 403,
    title: 'The key that made this signature is revoked. Nothing was recorded. Sign with another key of yours.',
  },
  'signature.wrong': {
    status: 422,
    title:
      'The signature does not match the statement that would be recorded. Nothing was recorded. Check `statement` and sign it again.',
  },
  'signature.possession-missing': {
    status: 422,
    title: 'A new key must sign the statement too. It was not enrolled. Send its signature as `possession`.',
  },
  'actor-key.unknown': {
    status: 404,
    title: 'You have no key with this id. Nothing was changed. Check the id.',
  },
  'actor-key.taken': {
    status: 409,
    title: 'This key is enrolled already. Nothing was changed. Enrol each key once, for one person.',
  },
  'actor-key.revoked': {
    status: 409,
    title: 'This key is revoked and stays so. Nothing was changed. Make a new key and enrol it.',
  },
  'actor-key.too-many': {
    status: 409,
    title:
      'You have `most` keys, the most that are accepted. The key was not enrolled. Revoke one first, or ask your administrator.',
  },

  'patient.already-enrolled': {
    status: 409,
    title: 'This patient is enrolled already. Nothing was recorded. Search for them and go on.',
  },
  'patient.name-missing': {
    status: 422,
    title: 'The name of the patient is missing. The patient was not enrolled. Give the name.',
  },
  'patient.on-hold': {
    status: 409,
    title: 'A retention hold protects this record. Nothing was erased. Release the hold, or wait until it ends.',
  },
  'hold.until-past': {
    status: 422,
    title: 'The last day of a hold must not be over. Nothing was recorded. Choose a later day.',
  },
  'hold.unknown': {
    status: 404,
    title: 'This patient has no hold with this id. Nothing was recorded. Check the id.',
  },
  'hold.already-released': {
    status: 409,
    title: 'This hold is released already: see `releasedAt`. Nothing was recorded. There is nothing left to do.',
  },
  'access.reason-missing': {
    status: 422,
    title: 'Emergency access needs a reason, which the patient can read. Nothing was shown. Give the reason.',
  },
  'disclosure.recipient-missing': {
    status: 422,
    title:
      'A disclosure names to whom it is given. Nothing was disclosed. Give either `recipient`, in words, or `auditor`.',
  },
  'disclosure.member-unknown': {
    status: 422,
    title: 'This entry has no such member. Nothing was disclosed. Choose among the members of its type.',
  },
  'disclosure.signature-alone': {
    status: 422,
    title:
      'A signature can only be shown with actor, data, occurredAt and type, which it covers. Nothing was disclosed. Add them.',
  },
  'disclosure.no-patient': {
    status: 409,
    title:
      'This entry belongs to no enrolled patient, whose record must say who was shown it. Nothing was disclosed. Match it to a patient first.',
  },
  'disclosure.auditor-unknown': {
    status: 422,
    title: 'There is no auditor with this id. Nothing was disclosed. Check the id.',
  },
  'discrepancy.unknown': {
    status: 404,
    title: 'There is no such discrepancy, or none that concerns you. Nothing was recorded. Check the id.',
  },
  'discrepancy.already-resolved': {
    status: 409,
    title: 'This discrepancy is resolved already: see `resolution`. Nothing was recorded. There is nothing left to do.',
  },
} as const satisfies Record<string, { status: number; title: string }>;
