import { equal, toBase64 } from '../bytes.js';
import { HASH_BYTES, type Hasher } from '../hasher.js';
import { isObject, jcs, JcsError } from '../jcs.js';

/** A top-level payload member: its name and its value in canonical JSON. */
export type Member = readonly [name: string, text: string];

export interface Commitment {
  /** The entry's commitment, 32 bytes. */
  readonly commitment: Uint8Array;
  /** Digest of each member by its name, base64 of 32 bytes. */
  readonly digests: Readonly<Record<string, string>>;
}

/** The bytes are not a payload: not JSON, not an object, or not canonical. The message never repeats them. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

const MEMBER_LABEL = 'rxledger/member/v1\n';
const PAYLOAD_LABEL = 'rxledger/payload/v2\n';

/**
 * Digest of one member, base64 of HMAC(HMAC(salt, "rxledger/member/v1\n" || name), JCS(value)). Only whoever has the
 * salt can derive the inner key, so a digest cannot be used to test guesses of the value.
 * @param salt 32 random bytes of this entry
 * @param text the member's value in canonical JSON
 */
export function memberDigest(hasher: Hasher, salt: Uint8Array, name: string, text: string): string {
  return hasher.derivedHmac(salt, MEMBER_LABEL + name, text);
}

/**
 * The key of one member, HMAC(salt, "rxledger/member/v1\n" || name), 32 bytes. With it and the value anybody can
 * compute the member's digest. It reveals neither the salt nor other members' keys or values.
 */
export function memberKey(hasher: Hasher, salt: Uint8Array, name: string): Uint8Array {
  return hasher.hmac(checkSalt(salt), MEMBER_LABEL + name);
}

/**
 * Commitment from all members' digests: SHA-256("rxledger/payload/v2\n" || JCS(digests)). It needs no key, so that it
 * can be checked with some members and the digests of the others. Each digest is keyed, so guesses of values cannot be
 * tested.
 */
export function commitmentOf(hasher: Hasher, digests: Readonly<Record<string, string>>): Uint8Array {
  return hasher.sha256(PAYLOAD_LABEL + jcs(digests));
}

/**
 * Whether an entry's commitment matches this payload and salt.
 * @throws JcsError when a value has no JSON form; PayloadError when the salt is not 32 bytes
 */
export function isCommitted(
  hasher: Hasher,
  commitment: Uint8Array,
  salt: Uint8Array,
  payload: Readonly<Record<string, unknown>>,
): boolean {
  return equal(commit(hasher, salt, payload).commitment, commitment);
}

/**
 * Commits to members whose values are already canonical JSON, in any order. It is the writer's hot path: each value is
 * serialised only once, for the payload and for this.
 * @throws PayloadError when a name comes twice, or the salt is not 32 bytes.
 */
export function commitMembers(hasher: Hasher, salt: Uint8Array, members: readonly Member[]): Uint8Array {
  checkSalt(salt);
  return hasher.sha256(
    PAYLOAD_LABEL + objectText(members, (name, text) => quoted(memberDigest(hasher, salt, name, text))),
  );
}

/** Commits to a payload given as values. @throws JcsError when a value has no JSON form. */
export function commit(hasher: Hasher, salt: Uint8Array, payload: Readonly<Record<string, unknown>>): Commitment {
  checkSalt(salt);
  const digests = Object.fromEntries(
    membersOf(payload).map(([name, text]) => [name, memberDigest(hasher, salt, name, text)]),
  );
  return { commitment: commitmentOf(hasher, digests), digests };
}

/** The payload in canonical JSON, from the committed member texts. @throws PayloadError as {@link commitMembers}. */
export function payloadText(members: readonly Member[]): string {
  return objectText(members, (_, text) => text);
}

/** The members of a payload given as values, each value in canonical JSON. @throws JcsError */
export function membersOf(payload: Readonly<Record<string, unknown>>): Member[] {
  return Object.entries(payload).map(([name, value]) => [name, jcs(value)]);
}

/** Digest of one member from its key: base64 of HMAC(key, JCS(value)). */
export function digestByKey(hasher: Hasher, key: Uint8Array, text: string): string {
  return toBase64(hasher.hmac(key, text));
}

/**
 * Reads a stored payload. Only canonical text: a name twice, or another spelling of a value, would let two texts
 * stand for one commitment. @throws PayloadError
 */
export function parsePayload(text: string): Record<string, unknown> {
  const payload = parseCanonical(text);
  if (!isObject(payload)) throw new PayloadError('payload is not an object');
  return payload;
}

/** Reads canonical JSON and nothing else. @throws PayloadError */
export function parseCanonical(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PayloadError('payload is not JSON');
  }
  if (!isCanonical(value, text)) throw new PayloadError('payload is not canonical');
  return value;
}

function isCanonical(value: unknown, text: string): boolean {
  try {
    return jcs(value) === text;
  } catch (error) {
    if (error instanceof JcsError) return false;
    throw error;
  }
}

function objectText(members: readonly Member[], valueOf: (name: string, text: string) => string): string {
  let object = '';
  for (const [name, text] of inOrder(members)) {
    object += `${object === '' ? '{' : ','}${JSON.stringify(name)}:${valueOf(name, text)}`;
  }
  return object === '' ? '{}' : `${object}}`;
}

const quoted = (base64: string): string => `"${base64}"`;

function inOrder(members: readonly Member[]): readonly Member[] {
  let sorted = true;
  for (let at = 1; at < members.length; at++) if (members[at - 1]![0] >= members[at]![0]) sorted = false;
  if (sorted) return members;
  const ordered = members.toSorted((a, b) => (a[0] < b[0] ? -1 : 1));
  for (let at = 1; at < ordered.length; at++) {
    if (ordered[at - 1]![0] === ordered[at]![0]) throw new PayloadError('a member comes twice');
  }
  return ordered;
}

function checkSalt(salt: Uint8Array): Uint8Array {
  if (salt.length !== HASH_BYTES) throw new PayloadError('salt is not 32 bytes');
  return salt;
}
