/** Form bodies (`application/x-www-form-urlencoded`, RFC 6749 appendix B), as strict as the JSON ones. Pure. */
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';

export type ParsedForm =
  | { readonly value: Readonly<Record<string, string>> }
  | { readonly refused: RequestRefusalCode };

/** More than an encoder must leave as it is: some also leave `:` and `/`. */
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;

/**
 * Parses a form. Refused are bytes that an encoder never leaves and parts that are not `name=value`. Refused, too, are
 * percent encodings that are not UTF-8, a name twice, NUL, and `__proto__` as a name.
 * A parameter without a value counts as omitted (RFC 6749 section 3.1).
 */
export function parseStrictForm(body: Buffer): ParsedForm {
  const text = body.toString('latin1');
  if (!VISIBLE_ASCII.test(text)) return { refused: 'request.malformed-form' };
  const values = new Map<string, string>();
  for (const part of text === '' ? [] : text.split('&')) {
    const at = part.indexOf('=');
    const name = decode(part.slice(0, Math.max(at, 0)));
    const value = decode(part.slice(at + 1));
    if (at < 1 || name === null || value === null) return { refused: 'request.malformed-form' };
    if (name.includes('\0') || value.includes('\0')) return { refused: 'request.forbidden-character' };
    if (name === '__proto__') return { refused: 'request.forbidden-key' };
    if (values.has(name)) return { refused: 'request.duplicate-key' };
    values.set(name, value);
  }
  return { value: Object.fromEntries([...values].filter(([, value]) => value !== '')) };
}

/** @returns null when the percent encodings are not UTF-8 */
function decode(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '));
  } catch {
    return null;
  }
}
