import { EncodingError, fromBase64, fromUtf8 } from '../bytes.js';
import { type Checkpoint, CheckpointError } from '../tlog/checkpoint.js';
import { isCommitted, parsePayload, PayloadError } from './commitment.js';
import { decodeEntry, type Entry, EntryError } from './entry.js';
import { type Hasher, nobleHasher } from '../hasher.js';
import { NoteError, parseVerifierKey } from '../tlog/note.js';
import {
  logOnly,
  nameInLog,
  openWitnessed,
  type Policy,
  type ReceiptState,
  receiptState,
  type Witnessed,
} from '../tlog/policy.js';
import { verifyInclusion } from '../tlog/proof.js';

/** Proves offline that the log signed by the checkpoint contains the entry. All byte strings are base64. */
export interface Receipt {
  readonly v: 1;
  /** The log's origin. */
  readonly log: string;
  /** Log index of the entry. */
  readonly index: number;
  /** The entry's stored bytes. */
  readonly entry: string;
  /** RFC 6962 inclusion proof in the tree of the checkpoint's size. */
  readonly proof: readonly string[];
  /** C2SP tlog-checkpoint in a signed note. */
  readonly checkpoint: string;
  /** Payload bytes and salt; absent in receipts of people who may not see them. */
  readonly payload?: string;
  readonly salt?: string;
}

export type ReceiptReason =
  /** Members are missing or malformed. */
  | 'form'
  /** The log has not signed the checkpoint, or a signature of a known key is wrong. */
  | 'checkpoint'
  /** The receipt, its entry or its checkpoint names another log than the key or the policy. */
  | 'log'
  /** The bytes are not an entry. */
  | 'entry'
  /** The checkpoint's tree does not have the entry at that index. */
  | 'inclusion'
  /** The payload is not canonical, or does not match the entry's commitment. */
  | 'payload'
  /** Everything else is valid, but witnesses that the policy demands have not cosigned the checkpoint. */
  | 'quorum';

export interface VerifiedReceipt {
  readonly ok: true;
  readonly state: ReceiptState;
  /** The log that signs the checkpoint. An entry from before it took this name carries the earlier name. */
  readonly log: string;
  readonly entry: Entry;
  readonly index: number;
  /** Size of the checkpoint's tree. */
  readonly size: number;
  /** The policy's witnesses that have cosigned the checkpoint; none without a policy. */
  readonly witnesses: readonly Witnessed[];
  /** Present when the receipt holds payload and salt; it matches the entry's commitment. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

export type ReceiptResult = VerifiedReceipt | { readonly ok: false; readonly reason: ReceiptReason };

/**
 * Checks a receipt offline: a trusted log has signed a tree that contains the entry, and the witnesses that the policy
 * demands have cosigned it. If the receipt holds payload and salt, the entry must commit to them. A receipt that is
 * only `committed` does not show that others see the same tree. For that, compare its checkpoint with a witness's or an
 * auditor's.
 * @param trust the log's verifier key or a policy, pinned by the caller and never taken from the receipt's source
 * @throws NoteError, CheckpointError when `trust` is not a log's verifier key. Faults of the receipt are returned
 */
export function verifyReceipt(receipt: Receipt, trust: string | Policy, hasher: Hasher = nobleHasher): ReceiptResult {
  const policy = typeof trust === 'string' ? logOnly(parseVerifierKey(trust)) : trust;
  if (!hasForm(receipt)) return fail('form');
  if (!policy.logs.some(({ key }) => key.name === receipt.log)) return fail('log');
  const opened = attempt(() => openWitnessed(policy, receipt.checkpoint));
  if (!opened) return fail('checkpoint');
  const { checkpoint, quorum } = opened;
  const bytes = attempt(() => fromBase64(receipt.entry));
  const entry = bytes && attempt(() => decodeEntry(bytes));
  if (!entry) return fail('entry');
  const name = nameInLog(policy, checkpoint.origin, receipt.index);
  if (receipt.log !== checkpoint.origin || entry.log !== name) return fail('log');
  if (!included(hasher, receipt, hasher.leaf(bytes), checkpoint)) return fail('inclusion');
  const { payload, salt, index } = receipt;
  const disclosed = payload !== undefined && salt !== undefined;
  const members = disclosed ? committed(hasher, payload, salt, entry.commitment) : undefined;
  if (disclosed && !members) return fail('payload');
  if (!quorum.met) return fail('quorum');
  return {
    ok: true,
    state: receiptState(policy, quorum),
    log: checkpoint.origin,
    entry,
    index,
    size: checkpoint.size,
    witnesses: quorum.witnesses,
    ...(members && { payload: members }),
  };
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
    return isCommitted(hasher, commitment, fromBase64(salt), members) ? members : undefined;
  });
}

// Checks every member, since anybody may have written the file.
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

/** The value, or undefined for faults of the receipt's bytes. Other exceptions are bugs and are thrown on. */
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
