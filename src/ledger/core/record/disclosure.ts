/**
 * Shows some members of one payload and withholds the rest. Shown members come with their keys, the others with their
 * digests. It holds neither the salt nor anything else with which a guess of a withheld value could be tested.
 */
import { equal, EncodingError, fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.js';
import {
  commitmentOf,
  digestByKey,
  memberDigest,
  memberKey,
  membersOf,
  parseCanonical,
  parsePayload,
  PayloadError,
} from './commitment.js';
import { decodeEntry } from './entry.js';
import { HASH_BYTES, type Hasher, nobleHasher } from '../hasher.js';
import { isObject, JcsError } from '../jcs.js';
import type { Policy } from '../tlog/policy.js';
import { type ReceiptReason, type VerifiedReceipt, verifyReceipt, type Receipt } from './receipt.js';
import { STATED } from './statement.js';

/** A shown member: the value's canonical JSON and its key, both base64. */
export interface ShownMember {
  readonly key: string;
  readonly value: string;
}
/** A withheld member: base64 of 32 bytes. */
export interface WithheldMember {
  readonly digest: string;
}

/** A self-contained document: a receipt without payload and salt, and every member of the payload by name. */
export interface Disclosure extends Omit<Receipt, 'payload' | 'salt'> {
  readonly members: Readonly<Record<string, ShownMember | WithheldMember>>;
}

export type DisclosureReason = ReceiptReason | 'members';

export interface VerifiedDisclosure extends Omit<VerifiedReceipt, 'payload'> {
  /** Values of the shown members. */
  readonly disclosed: Readonly<Record<string, unknown>>;
  /** Names of the withheld members. */
  readonly withheld: readonly string[];
}

export type DisclosureResult = VerifiedDisclosure | { readonly ok: false; readonly reason: DisclosureReason };

/** Why members cannot be disclosed. */
export type DisclosureFault =
  /** The payload has no such member. */
  | 'member-unknown'
  /**
   * A signature may be shown only with everything that it covers: otherwise it would allow testing guesses of the rest.
   */
  | 'signature-alone';

/**
 * @param receipt with payload and salt, from the ledger
 * @param names members to show
 * @throws PayloadError, EntryError when it is not a receipt, or its payload does not match its entry's commitment
 */
export function disclose(
  hasher: Hasher,
  { payload = '', salt: saltText = '', ...receipt }: Receipt,
  names: readonly string[],
): { readonly disclosure: Disclosure } | { readonly fault: DisclosureFault } {
  const salt = fromBase64(saltText);
  const members = membersOf(parsePayload(fromUtf8(fromBase64(payload))));
  if (!names.every((name) => members.some(([member]) => member === name))) return { fault: 'member-unknown' };
  if (names.includes('signature') && !STATED.every((name) => names.includes(name))) return { fault: 'signature-alone' };
  const digests = Object.fromEntries(members.map(([name, text]) => [name, memberDigest(hasher, salt, name, text)]));
  if (!equal(commitmentOf(hasher, digests), decodeEntry(fromBase64(receipt.entry)).commitment)) {
    throw new PayloadError('payload is not what the entry commits to');
  }
  const parts = members.map(([name, text]): [string, ShownMember | WithheldMember] => [
    name,
    names.includes(name)
      ? { key: toBase64(memberKey(hasher, salt, name)), value: toBase64(utf8(text)) }
      : { digest: digests[name] as string },
  ]);
  const { v, log, index, entry, proof, checkpoint } = receipt;
  return { disclosure: { v, log, index, entry, proof, checkpoint, members: Object.fromEntries(parts) } };
}

const FORM = 'checkpoint,entry,index,log,members,proof,v';

/**
 * Checks a disclosure offline: all that {@link verifyReceipt} checks, and that the entry commits to exactly these
 * members, the shown ones with these values. The document does not allow testing guesses of withheld values.
 * @param trust the log's verifier key or a policy, pinned by the caller
 * @throws NoteError, CheckpointError when `trust` is not a log's verifier key. Faults of the document are returned
 */
export function verifyDisclosure(
  document: unknown,
  trust: string | Policy,
  hasher: Hasher = nobleHasher,
): DisclosureResult {
  if (!isObject(document) || Object.keys(document).toSorted().join() !== FORM) return { ok: false, reason: 'form' };
  const { members, ...receipt } = document;
  const result = verifyReceipt(receipt as unknown as Receipt, trust, hasher);
  if (!result.ok) return result;
  const opened = openMembers(hasher, members, result.entry.commitment);
  return opened ? { ...result, ...opened } : { ok: false, reason: 'members' };
}

/** @returns null when the entry does not commit to these members */
function openMembers(
  hasher: Hasher,
  members: unknown,
  commitment: Uint8Array,
): Pick<VerifiedDisclosure, 'disclosed' | 'withheld'> | null {
  if (!isObject(members)) return null;
  const digests: [string, string][] = [];
  const disclosed: [string, unknown][] = [];
  const withheld: string[] = [];
  try {
    for (const [name, member] of Object.entries(members)) {
      const { key, value, digest } = isObject(member) ? member : {};
      const form = isObject(member) ? Object.keys(member).toSorted().join() : '';
      if (form === 'key,value' && typeof key === 'string' && typeof value === 'string') {
        const text = fromUtf8(fromBase64(value));
        disclosed.push([name, parseCanonical(text)]);
        digests.push([name, digestByKey(hasher, bytes32(key), text)]);
      } else if (form === 'digest' && typeof digest === 'string') {
        withheld.push(name);
        digests.push([name, toBase64(bytes32(digest))]);
      } else return null;
    }
    if (!equal(commitmentOf(hasher, Object.fromEntries(digests)), commitment)) return null;
  } catch (error) {
    if ([EncodingError, PayloadError, JcsError].some((kind) => error instanceof kind)) return null;
    throw error;
  }
  return { disclosed: Object.fromEntries(disclosed), withheld };
}

/** A key of another length would let two keys stand for one (RFC 2104 pads and hashes them). @throws EncodingError */
function bytes32(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes.length !== HASH_BYTES) throw new EncodingError('not 32 bytes');
  return bytes;
}
