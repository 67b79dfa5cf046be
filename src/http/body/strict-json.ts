/** JSON bodies (RFC 8259) without the leniency that lets two readers see two things. Pure. */
import { isUtf8 } from 'node:buffer';
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';

/** Deeper than any FHIR resource; shallow enough for everything that walks a body. */
export const MAX_DEPTH = 32;

export type ParsedJson = { readonly value: unknown } | { readonly refused: RequestRefusalCode };

/**
 * Parses a body. An accepted body has the value that `JSON.parse` gives. Refused are bytes that are not UTF-8, also a
 * byte order mark, and more than {@link MAX_DEPTH} levels. Refused, too, are a name twice in one object, `__proto__` as
 * a name, and NUL and half surrogate pairs in strings.
 */
export function parseStrictJson(body: Buffer): ParsedJson {
  if (!isUtf8(body)) return { refused: 'request.invalid-utf8' };
  const text = body.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { refused: 'request.malformed-json' };
  }
  // The bytes are valid UTF-8 and JSON.parse took them: only an escape can make NUL or half a surrogate pair.
  const walk = new Walk(text.includes('\\'));
  const refused = walk.refusalOf(value, 0);
  if (refused !== null) return { refused };
  // JSON.parse keeps the last of two equal names. The value then has fewer members than the text.
  if (walk.members !== countMembers(text)) return { refused: 'request.duplicate-key' };
  return { value };
}

/** In `u` mode a surrogate matches only where its other half is missing. */
const HALF_PAIR = /\p{Cs}/u;

class Walk {
  members = 0;

  constructor(private readonly hasEscapes: boolean) {}

  refusalOf(value: unknown, depth: number): RequestRefusalCode | null {
    if (typeof value === 'string') return this.isBad(value) ? 'request.forbidden-character' : null;
    if (typeof value !== 'object' || value === null) return null;
    if (depth === MAX_DEPTH) return 'request.too-deep';
    if (Array.isArray(value)) {
      for (const item of value) {
        const refused = this.refusalOf(item, depth + 1);
        if (refused !== null) return refused;
      }
      return null;
    }
    for (const [name, member] of Object.entries(value)) {
      this.members += 1;
      if (name === '__proto__') return 'request.forbidden-key';
      if (this.isBad(name)) return 'request.forbidden-character';
      const refused = this.refusalOf(member, depth + 1);
      if (refused !== null) return refused;
    }
    return null;
  }

  private isBad(text: string): boolean {
    return this.hasEscapes && (text.includes('\0') || HALF_PAIR.test(text));
  }
}

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** @returns the number of members of all objects in valid JSON: its colons outside strings */
function countMembers(text: string): number {
  let members = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) inString = !inString;
    else if (inString && code === BACKSLASH) i += 1;
    else if (!inString && code === COLON) members += 1;
  }
  return members;
}
