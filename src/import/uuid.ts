import { createHash } from 'node:crypto';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NIL = '00000000-0000-0000-0000-000000000000';

/** @returns the text as a lower-case UUID of any version; null when it is not a UUID, or the nil UUID */
export function asUuid(text: unknown): string | null {
  if (typeof text !== 'string') return null;
  const lower = text.toLowerCase();
  return UUID.test(lower) && lower !== NIL ? lower : null;
}

/** Namespace of outside names. This constant must never change, or repeated imports would get other ids. */
const NAMESPACE = Buffer.from('7c0de9d65b1f4f0e9a52c7b1f2d3a684', 'hex');

/**
 * The same UUID for the same name, for ever (RFC 9562 section 5.5, version 5).
 * @param parts the parts of a name; `['ab']` and `['a', 'b']` differ
 */
export function nameUuid(...parts: readonly string[]): string {
  const hash = createHash('sha1').update(NAMESPACE).update(JSON.stringify(parts)).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
