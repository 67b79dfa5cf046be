/**
 * What a request can be refused for before any module decides on it, and by the people and tokens
 * behind it: the HTTP status and the title of each stable code.
 */
export const REQUEST_REFUSALS = {
  'request.malformed': { status: 400, title: 'The request is not well-formed HTTP' },
  'request.invalid': { status: 400, title: 'The request does not fit its schema' },
  'request.malformed-json': { status: 400, title: 'The body is not JSON' },
  'request.malformed-form': { status: 400, title: 'The body is not a form of name=value pairs in UTF-8' },
  'request.invalid-utf8': { status: 400, title: 'The body is not UTF-8' },
  'request.duplicate-key': { status: 400, title: 'The body, or an object in it, has a member twice' },
  'request.forbidden-key': { status: 400, title: 'An object in the body has a member name that is not allowed' },
  'request.forbidden-character': { status: 400, title: 'A string in the body holds NUL or half a surrogate pair' },
  'request.too-deep': { status: 400, title: 'The body is nested too deeply' },
  'request.idempotency-key-invalid': {
    status: 400,
    title: 'Idempotency-Key must be 1 to 255 visible ASCII characters',
  },
  'request.not-found': { status: 404, title: 'There is nothing at this address' },
  'request.timeout': { status: 408, title: 'The request did not arrive in time' },
  'request.too-large': { status: 413, title: 'The body is too large' },
  'request.unsupported-media-type': {
    status: 415,
    title: 'The body must be application/json or application/fhir+json',
  },
  'request.headers-too-large': { status: 431, title: 'The header fields are too large' },
  'request.rate-limited': { status: 429, title: 'Too many requests' },
  'access.unauthenticated': { status: 401, title: 'A valid access token is needed' },
  'access.forbidden': { status: 403, title: 'This role may not do that' },
  'identity.sign-in-refused': {
    status: 401,
    title: 'The user name or password is wrong, or the account is locked for a while',
  },
  'identity.client-refused': { status: 401, title: 'The client assertion does not hold' },
  'identity.grant-unsupported': { status: 400, title: 'The only grant type here is client_credentials' },
  'identity.scope-unknown': { status: 400, title: "There are no scopes here: the client's role says what it may" },
  'identity.client-unknown': { status: 404, title: 'There is no such client' },
  'identity.username-taken': { status: 409, title: 'The user name is taken' },
  'identity.organisation-unknown': { status: 422, title: 'There is no such organisation' },
  'identity.organisation-kind': { status: 422, title: 'The role does not belong to this kind of organisation' },
  'identity.patient-unknown': { status: 422, title: 'There is no such patient' },
  'identity.own-account': { status: 409, title: 'An administrator cannot end their own account' },
  'identity.account-unknown': { status: 404, title: 'There is no such account' },
  'ledger.unavailable': {
    status: 503,
    title: 'The ledger cannot answer now; ask again with the same Idempotency-Key',
  },
  'log.malformed': { status: 400, title: 'The address is not one of the log: a number or a tile is spelled otherwise' },
  'log.not-there': { status: 404, title: 'The published log does not reach so far' },
  'jobs.unknown': { status: 404, title: 'There is no such failed job' },
  'jobs.unavailable': { status: 503, title: 'The queues are away; nothing is lost by it' },
  'health.not-ready': { status: 503, title: 'This process cannot serve yet' },
  internal: { status: 500, title: 'Something went wrong here' },
} as const satisfies Record<string, { status: number; title: string }>;

export type RequestRefusalCode = keyof typeof REQUEST_REFUSALS;
