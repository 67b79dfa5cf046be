/** The log: what anybody can check. A chain's number is the log index of its first entry. */
import { EntitySchema } from 'typeorm';
import { bigint, bytes, integer, key, nullable, table, text, unique } from '../declare.js';

/** One row: the end of the log, which each batch compares and sets. */
export const logHead = new EntitySchema({
  name: 'log_head',
  columns: {
    id: key(integer),
    origin: text,
    vkey: text,
    size: bigint,
    root: bytes,
    /** Instant of the last batch. */
    time: bigint,
    checkpoint: text,
    /**
     * The oldest key-encryption key that may still wrap a subject's key: a batch that was sealed under one that is
     * destroyed meanwhile is refused.
     */
    oldest_kek: { ...text, default: '0001' },
    /** Version of the read models; 0: their tables are not made yet. A batch of another version is refused. */
    read_models: { ...integer, default: 0 },
  },
  checks: [{ name: 'log_head_one', expression: 'id = 1' }],
});

export const entry = new EntitySchema({
  name: 'entry',
  columns: { idx: key(bigint), chain: bigint, seq: bigint, entry: bytes },
  indices: [{ name: 'entry_chain_seq', columns: ['chain', 'seq'], unique: true }],
});

export const tile = new EntitySchema({
  name: 'tile',
  columns: { level: key(integer), idx: key(bigint), hashes: bytes },
});

/**
 * Checkpoints that `/log/checkpoint` has served, or will: all of them are kept. `previous` is the size of the one
 * before it, -1 for the first. It is unique: only one of several processes publishes behind a
 * checkpoint. A row that is taken out of the middle leaves a gap that shows.
 */
export const published = table({
  name: 'published',
  columns: { size: key(bigint), previous: unique(bigint), checkpoint: text, published_at: bigint },
});

/** `witness`: its verifier key, by which the cosignature can be checked whatever the policy is by then. */
export const cosignature = table({
  name: 'cosignature',
  columns: { size: key(bigint), witness: key(text), line: text },
  indices: [{ name: 'cosignature_witness', columns: ['witness', 'size'] }],
});

/** How each witness answered last. `failure`: the code of its last answer when that was no cosignature. */
export const witnessContact = table({
  name: 'witness_contact',
  columns: {
    witness: key(text),
    contact_at: nullable(bigint),
    failure: nullable(text),
    failed_at: nullable(bigint),
  },
});

/** One row: size of the largest checkpoint that any process has served, under whatever policy; -1 for none. */
export const served = table({ name: 'served', columns: { id: key(bigint), size: bigint } });
