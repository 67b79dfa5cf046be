/** Bytes and their text forms, alike in Node and in the browser. */

/** Text or bytes are not valid base64, hex or UTF-8. The message never repeats them. */
export class EncodingError extends Error {
  override readonly name = 'EncodingError';
}

declare global {
  interface String {
    /** ES2024; absent in older browsers. */
    isWellFormed?(): boolean;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
// With the u flag a surrogate pair is one character, so that only lone halves match.
const LONE_SURROGATE = /\p{Surrogate}/u;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const BASE64URL = /^[\w-]*$/;
const HEX = /^(?:[0-9a-f]{2})*$/;

/** True when `text` has half a surrogate pair and therefore no UTF-8 form. */
export function hasLoneSurrogate(text: string): boolean {
  return text.isWellFormed ? !text.isWellFormed() : LONE_SURROGATE.test(text);
}

/** UTF-8 bytes of `text`. @throws EncodingError on a lone surrogate, which TextEncoder would replace in silence. */
export function utf8(text: string): Uint8Array {
  if (hasLoneSurrogate(text)) throw new EncodingError('text has a lone surrogate');
  return encoder.encode(text);
}

/** Text of UTF-8 bytes; a byte order mark stays in it. @throws EncodingError on anything that is not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new EncodingError('not UTF-8');
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
// Two characters for each 12 bits: several times faster than btoa on the short hashes that the writer encodes.
const PAIRS = Array.from({ length: 4096 }, (_, bits) => ALPHABET[bits >> 6]! + ALPHABET[bits & 63]!);

/** Standard base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  const rest = bytes.length % 3;
  const end = bytes.length - rest;
  let text = '';
  for (let at = 0; at < end; at += 3) {
    const bits = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    text += PAIRS[bits >> 12]! + PAIRS[bits & 4095]!;
  }
  if (rest === 1) return `${text}${PAIRS[bytes[end]! << 4]!}==`;
  if (rest === 2) {
    const bits = (bytes[end]! << 10) | (bytes[end + 1]! << 2);
    return `${text}${PAIRS[bits >> 6]!}${ALPHABET[bits & 63]!}=`;
  }
  return text;
}

/**
 * Bytes of standard base64, strictly: padding, no white space, no stray bits (RFC 4648 sections 3.2 to 3.5). Two texts
 * never give the same bytes, so that no change of a signed or hashed text goes unnoticed.
 * @throws EncodingError otherwise.
 */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !BASE64.test(text)) throw new EncodingError('not strict base64');
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  if (toBase64(bytes) !== text) throw new EncodingError('not strict base64');
  return bytes;
}

/** base64url without padding (RFC 4648 section 5, RFC 7515 section 2). */
export function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Bytes of base64url without padding, as strictly as {@link fromBase64}. @throws EncodingError */
export function fromBase64Url(text: string): Uint8Array {
  if (!BASE64URL.test(text)) throw new EncodingError('not strict base64url');
  const padding = '='.repeat((4 - (text.length % 4)) % 4);
  return fromBase64(text.replaceAll('-', '+').replaceAll('_', '/') + padding);
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** Bytes of lower-case hex of even length. @throws EncodingError otherwise. */
export function fromHex(text: string): Uint8Array {
  if (!HEX.test(text)) throw new EncodingError('not lower-case hex');
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** True when both hold the same bytes. Not constant in time: for public hashes only, never for secrets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
