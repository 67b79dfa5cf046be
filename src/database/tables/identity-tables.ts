/** Who may sign in, and other rows that are no events. */
import { EntitySchema } from 'typeorm';
import { bigint, bytes, integer, key, nullable, table, text, unique, uuid } from '../declare.js';

export const organisation = new EntitySchema({
  name: 'organisation',
  columns: { id: key(uuid), kind: text, name: text, zone: text, npi: nullable(text) },
  indices: [{ name: 'organisation_kind', columns: ['kind', 'id'] }],
});

/** `password`: null for a machine. */
export const account = new EntitySchema({
  name: 'account',
  columns: {
    id: key(uuid),
    username_index: unique(bytes),
    username: bytes,
    name: bytes,
    role: text,
    org: nullable(uuid),
    patient: nullable(uuid),
    password: nullable(text),
    disabled: integer,
    demo: integer,
    created_at: bigint,
  },
  indices: [{ name: 'account_patient', columns: ['patient'], where: 'patient IS NOT NULL' }],
});

/**
 * Wrong passwords in a row, also for user names that no account has. `key`: blind index of the user name, or MAC of the
 * user name and an address from which its account has signed in.
 */
export const signInAttempt = table({
  name: 'sign_in_attempt',
  columns: { key: key(bytes), failed: integer, locked_until: nullable(bigint), last_at: bigint },
  indices: [{ name: 'sign_in_attempt_last_at', columns: ['last_at'] }],
  withoutRowid: true,
});

/** Addresses from which an account has signed in. `key`: MAC of user name and address. */
export const signInAddress = table({
  name: 'sign_in_address',
  columns: { key: key(bytes), last_at: bigint },
  indices: [{ name: 'sign_in_address_last_at', columns: ['last_at'] }],
  withoutRowid: true,
});

/** A machine's JWK Set, sealed like a name, so that nobody without the key-encryption key can put in their own. */
export const client = new EntitySchema({ name: 'client', columns: { id: key(uuid), keys: bytes } });

/** Client assertions that were taken, each once. */
export const usedAssertion = table({
  name: 'used_assertion',
  columns: { id: key(bytes), kept_until: bigint },
  indices: [{ name: 'used_assertion_kept_until', columns: ['kept_until'] }],
  withoutRowid: true,
});

/** Requests that made rows which are no events. `ref`: what was made; `used_at`: when the key was first used, ms. */
export const idempotentRequest = table({
  name: 'idempotent_request',
  columns: { key: key(bytes), request: bytes, ref: text, used_at: bigint },
  indices: [
    { name: 'idempotent_request_ref', columns: ['ref'] },
    { name: 'idempotent_request_used_at', columns: ['used_at'] },
  ],
  withoutRowid: true,
});
