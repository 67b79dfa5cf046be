import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { toBase64, utf8 } from './bytes.js';

/** Length in bytes of every hash, salt and commitment of the ledger. */
export const HASH_BYTES = 32;

/**
 * The hashes of the ledger, all SHA-256. Two implementations must agree: {@link nobleHasher}, which runs
 * anywhere, and `nodeHasher`, which the writer uses because it is several times faster.
 */
export interface Hasher {
  /** Leaf hash, SHA-256(0x00 || entry) (RFC 6962 section 2.1): the Merkle leaf and the next entry's `prev`. */
  leaf(entry: Uint8Array): Uint8Array;
  /** Node hash, SHA-256(0x01 || left || right) of two 32-byte hashes. */
  node(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** HMAC-SHA-256 (RFC 2104); a string stands for its UTF-8 bytes. */
  hmac(key: Uint8Array, data: Uint8Array | string): Uint8Array;
  /** SHA-256 of a text's UTF-8 bytes. */
  sha256(text: string): Uint8Array;
  /** base64 of HMAC(HMAC(key, label), data): each label gets its own key. */
  derivedHmac(key: Uint8Array, label: string, data: string): string;
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

const nobleHmac = (key: Uint8Array, data: Uint8Array | string): Uint8Array =>
  hmac(sha256, key, typeof data === 'string' ? utf8(data) : data);

export const nobleHasher: Hasher = {
  leaf: (entry) => sha256.create().update(LEAF).update(entry).digest(),
  node: (left, right) => sha256.create().update(NODE).update(left).update(right).digest(),
  hmac: nobleHmac,
  sha256: (text) => sha256(utf8(text)),
  derivedHmac: (key, label, data) => toBase64(nobleHmac(nobleHmac(key, label), data)),
};
