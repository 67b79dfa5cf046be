/**
 * What a request can be refused for before any module decides on it, and by the people and tokens
 * behind it: the HTTP status and the title of each stable code.
 */
export const REQUEST_REFUSALS = {
  'request.malformed': {
    status: 400,
    title: 'The request is not valid HTTP. Nothing was recorded. Correct the program that sent it.',
  },
  'request.invalid': {
    status: 400,
    title:
      'Some fields are missing or do not fit. Nothing was recorded. Correct those that `errors` names and send it again.',
  },
  'request.malformed-json': {
    status: 400,
    title: 'The body is not valid JSON. Nothing was recorded. Correct it and send it again.',
  },
  'request.malformed-form': {
    status: 400,
    title: 'The body is not a form of name=value pairs in UTF-8. Correct it and send it again.',
  },
  'request.invalid-utf8': {
    status: 400,
    title:
      'The body is not UTF-8. Nothing was recorded. Encode it as UTF-8 without a byte order mark and send it again.',
  },
  'request.duplicate-key': {
    status: 400,
    title: 'The body names a field twice. Nothing was recorded. Send each field once.',
  },
  'request.forbidden-key': {
    status: 400,
    title: 'The body names a field `__proto__`, which is not accepted. Nothing was recorded. Leave it out.',
  },
  'request.forbidden-character': {
    status: 400,
    title: 'A text holds NUL or half a surrogate pair, which cannot be stored. Nothing was recorded. Remove it.',
  },
  'request.too-deep': {
    status: 400,
    title: 'The body is nested more than 32 levels deep. Nothing was recorded. Send a flatter one.',
  },
  'request.idempotency-key-invalid': {
    status: 400,
    title: 'Idempotency-Key must be 1 to 255 visible ASCII characters. Nothing was recorded. Send another key.',
  },
  'request.not-found': {
    status: 404,
    title: 'There is nothing at this address. Nothing was recorded. Compare it with the list at /api/docs.',
  },
  'request.method-not-allowed': {
    status: 405,
    title: 'This address takes other methods: see `allow`. Nothing was recorded. Send one of them.',
  },
  'request.header-twice': {
    status: 400,
    title:
      'Host, Authorization, Content-Type or Content-Encoding came twice. Nothing was recorded. Send each header once.',
  },
  'request.encoded': {
    status: 415,
    title: 'The body is compressed, which is not read here. Nothing was recorded. Send it without Content-Encoding.',
  },
  'request.timeout': {
    status: 408,
    title: 'The request did not arrive within 10 seconds. Nothing was recorded. Send it again.',
  },
  'request.too-large': {
    status: 413,
    title:
      'The body is larger than 1 MB, or than 4 kB where no token is needed. Nothing was recorded. Send less at once.',
  },
  'request.unsupported-media-type': {
    status: 415,
    title:
      'The body must be application/json or application/fhir+json. Nothing was recorded. Set Content-Type and send it again.',
  },
  'request.headers-too-large': {
    status: 431,
    title: 'The header fields are larger than 16 kB together. Nothing was recorded. Send smaller ones.',
  },
  'request.rate-limited': {
    status: 429,
    title: 'Too many attempts in one minute. Wait for `retryAfterSeconds`, then try again.',
  },
  'access.unauthenticated': {
    status: 401,
    title: 'You are not signed in, or your access token has ended. Nothing was recorded. Sign in and send it again.',
  },
  'access.forbidden': {
    status: 403,
    title: 'Your role does not allow this. Nothing was recorded. Ask your administrator if you need it.',
  },
  'identity.sign-in-refused': {
    status: 401,
    title:
      'User name or password is wrong, or the account is locked for a while. Check both, then wait before you try again.',
  },
  'identity.client-refused': {
    status: 401,
    title: 'The client assertion was not accepted. Check its key, audience and times, then make a new one.',
  },
  'identity.grant-unsupported': {
    status: 400,
    title: 'The only grant type here is client_credentials. Ask again with it.',
  },
  'identity.scope-unknown': {
    status: 400,
    title: "There are no scopes here: the client's role says what it may do. Ask again without scope.",
  },
  'identity.client-unknown': {
    status: 404,
    title: 'There is no client with this id. Nothing was changed. Check the id.',
  },
  'identity.username-taken': {
    status: 409,
    title: 'This user name is taken. No account was made. Choose another one.',
  },
  'identity.organisation-unknown': {
    status: 422,
    title:
      'There is no organisation with this id. Nothing was recorded. Check the id, or enrol the organisation first.',
  },
  'identity.organisation-kind': {
    status: 422,
    title:
      'This role needs an organisation of another kind: see `needed`. No account was made. Choose another organisation.',
  },
  'identity.patient-unknown': {
    status: 422,
    title: 'There is no patient with this id. No account was made. Check the id, or enrol the patient first.',
  },
  'identity.own-account': {
    status: 409,
    title: 'You cannot disable your own account. Ask another administrator to do it.',
  },
  'identity.account-unknown': {
    status: 404,
    title: 'There is no account with this id. Nothing was changed. Check the id.',
  },
  'ledger.unavailable': {
    status: 503,
    title:
      'The service cannot answer now. Send the same request again with the same Idempotency-Key: nothing is recorded twice.',
  },
  'log.malformed': {
    status: 400,
    title:
      'This is not an address of the log: a number or tile is spelled differently. Write it as C2SP tlog-tiles says.',
  },
  'log.not-there': {
    status: 404,
    title: 'The published log does not reach so far yet. Stay below the size that /log/checkpoint names, or wait.',
  },
  'jobs.unknown': {
    status: 404,
    title: 'There is no failed job with this id. It may have been retried already: read the list again.',
  },
  'jobs.unavailable': {
    status: 503,
    title: 'The job queues cannot be reached. Nothing is lost by it. Check Redis, then try again.',
  },
  'health.not-ready': {
    status: 503,
    title: 'This process cannot serve requests yet: `details` says what it waits for. Wait, or mend what is down.',
  },
  internal: {
    status: 500,
    title:
      'The service failed at this request. Send it once more with the same Idempotency-Key; if that fails, tell the operator.',
  },
} as const satisfies Record<string, { status: number; title: string }>;

export type RequestRefusalCode = keyof typeof REQUEST_REFUSALS;
