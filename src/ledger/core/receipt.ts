import type { Receipt } from '../model.js';
import { equal, EncodingError, fromBase64, fromUtf8 } from './bytes.js';
import { type Checkpoint, CheckpointError, openCheckpoint } from './checkpoint.js';
import { commit, parsePayload, PayloadError } from './commitment.js';
import { decodeEntry, type Entry, EntryError } from './entry.js';
import { type Hasher, nobleHasher } from './hasher.js';
import { NoteError, parseVerifierKey } from './note.js';
import { verifyInclusion } from './proof.js';

export type ReceiptReason =
  /** Members are missing, or are not what a receipt has there. */
  | 'form'
  /** The checkpoint is no note signed by the key, or not of its log. */
  | 'checkpoint'
  /** The receipt or the entry names another log than the key. */
  | 'log'
  /** The bytes are no entry. */
  | 'entry'
  /** The entry does not stand at that index in the checkpoint's tree. */
  | 'inclusion'
  /** The payload is not canonical, or is not what the entry commits to. */
  | 'payload';

export type ReceiptResult =
  | {
      readonly ok: true;
      readonly entry: Entry;
      readonly index: number;
      /** Size of the checkpoint's tree. */
      readonly size: number;
      /** There when the receipt holds payload and salt; then it is what the entry commits to. */
      readonly payload?: Readonly<Record<string, unknown>>;
    }
  | { readonly ok: false; readonly reason: ReceiptReason };

/**
 * Checks a receipt offline: that the log whose key this is has signed a tree in which the entry stands and, when the
 * payload and its salt are there, that the entry commits to them. It cannot show that others see the same tree; for
 * that its checkpoint must be compared with a witness's or an auditor's.
 * @param vkey the log's verifier key, pinned by the caller, never taken from the receipt
 * @throws NoteError when `vkey` is no verifier key; whatever is wrong with the receipt is a value
 */
export function verifyReceipt(receipt: Receipt, vkey: string, hasher: Hasher = nobleHasher): ReceiptResult {
  const key = parseVerifierKey(vkey);
  if (!hasForm(receipt)) return fail('form');
  const checkpoint = attempt(() => openCheckpoint(receipt.checkpoint, key));
  if (!checkpoint) return fail('checkpoint');
  const bytes = attempt(() => fromBase64(receipt.entry));
  const entry = bytes && attempt(() => decodeEntry(bytes));
  if (!entry) return fail('entry');
  if (receipt.log !== checkpoint.origin || entry.log !== checkpoint.origin) return fail('log');
  if (!included(hasher, receipt, hasher.leaf(bytes), checkpoint)) return fail('inclusion');
  const found = { ok: true, entry, index: receipt.index, size: checkpoint.size } as const;
  if (receipt.payload === undefined || receipt.salt === undefined) return found;
  const payload = committed(hasher, receipt.payload, receipt.salt, entry.commitment);
  return payload ? { ...found, payload } : fail('payload');
}

function included(hasher: Hasher, { index, proof }: Receipt, leaf: Uint8Array, { size, root }: Checkpoint): boolean {
  const hashes = attempt(() => proof.map((hash) => fromBase64(hash)));
  return hashes !== undefined && verifyInclusion(hasher, { index, size, leaf, proof: hashes, root }).ok;
}

function committed(
  hasher: Hasher,
  payload: string,
  salt: string,
  commitment: Uint8Array,
): Record<string, unknown> | undefined {
  return attempt(() => {
    const members = parsePayload(fromUtf8(fromBase64(payload)));
    return equal(commit(hasher, fromBase64(salt), members).commitment, commitment) ? members : undefined;
  });
}

// A receipt comes from a file that anybody may have written.
function hasForm(receipt: Receipt): boolean {
  const { v, log, index, entry, proof, checkpoint, payload, salt }: Record<keyof Receipt, unknown> = {
    payload: undefined,
    salt: undefined,
    ...receipt,
  };
  return (
    v === 1 &&
    Number.isSafeInteger(index) &&
    [log, entry, checkpoint].every((text) => typeof text === 'string') &&
    Array.isArray(proof) &&
    proof.every((hash) => typeof hash === 'string') &&
    typeof payload === typeof salt &&
    (payload === undefined || typeof payload === 'string')
  );
}

/** The value, or undefined when the receipt's bytes are at fault; any other exception is a bug and passes. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const known = [EncodingError, NoteError, CheckpointError, EntryError, PayloadError];
    if (known.some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}

function fail(reason: ReceiptReason): ReceiptResult {
  return { ok: false, reason };
}
