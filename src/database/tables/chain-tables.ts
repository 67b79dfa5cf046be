/** What happened, encrypted beside the log, and whose it is. */
import { EntitySchema } from 'typeorm';
import { bigint, bytes, integer, key, nullable, text, unique, uuid } from '../declare.js';

export const subject = new EntitySchema({
  name: 'subject',
  columns: { num: key(bigint), id: unique(uuid), kek: text, wrapped_key: bytes },
});

export const chain = new EntitySchema({
  name: 'chain',
  columns: {
    num: key(bigint),
    id: unique(uuid),
    kind: text,
    subject: bigint,
    seq: bigint,
    leaf: bytes,
    data_key: bytes,
    state_version: integer,
    state: bytes,
  },
  indices: [{ name: 'chain_subject', columns: ['subject'] }],
});

export const payload = new EntitySchema({ name: 'payload', columns: { idx: key(bigint), body: bytes } });

/** Outside names by their blind index. Erasure and `verify` look for those of a chain. */
export const name = new EntitySchema({
  name: 'name',
  columns: { blind: key(bytes), chain: bigint },
  indices: [{ name: 'name_chain', columns: ['chain'] }],
  // A rowid table keyed by its blob would hold every key twice.
  withoutRowid: true,
});

/**
 * Whom the ledger has forgotten, by the random ids that the entries keep anyway. Entries `first … first + count - 1`
 * ended their chains; subjects that were forgotten together share them.
 */
export const erasure = new EntitySchema({
  name: 'erasure',
  columns: { subject: key(uuid), first: bigint, count: integer },
  indices: [{ name: 'erasure_first', columns: ['first'] }],
});

/**
 * Requests with an `Idempotency-Key` that were recorded, by MACs alone. `used_at`: when the key was first used, ms; null
 * where the row is kept for ever, because the actor signed the key as the commandId.
 */
export const idempotency = new EntitySchema({
  name: 'idempotency',
  columns: { key: key(bytes), request: bytes, first: bigint, count: integer, chains: text, used_at: nullable(bigint) },
  indices: [{ name: 'idempotency_used_at', columns: ['used_at'] }],
  withoutRowid: true,
});
