/**
 * Answers as JSON text. In most answers only the dash of a signed note lies beyond Latin-1. Left as it is, it makes V8
 * keep, measure and encode the whole text in its two-byte form: twice the work for every write.
 */

/**
 * The member under this symbol holds the JSON text of its object. `JSON.stringify` ignores it. A spread copies it: whoever
 * changes a copy must leave it out.
 */
export const JSON_TEXT = Symbol('JSON text');

const BEYOND = /[\u0080-\uffff]/g;

interface Prepared {
  readonly [JSON_TEXT]?: string;
}

/** A string as JSON in ASCII: all other characters are escaped (RFC 8259 section 7). */
export function asciiText(text: string): string {
  const json = JSON.stringify(text);
  const escaped = json.replace(BEYOND, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  // V8 keeps the two-byte form after a replacement. Read from bytes again, the string has one byte a character.
  return escaped === json ? json : Buffer.from(escaped, 'latin1').toString('latin1');
}

/** The JSON text of an answer, of the same value as `JSON.stringify` gives. Texts that are ready are used as they are. */
export function answerText(answer: unknown): string {
  if (!hasPrepared(answer)) return JSON.stringify(answer);
  let text = '';
  for (const name of Object.keys(answer)) {
    const member = answer[name];
    const value = (member as Prepared | null | undefined)?.[JSON_TEXT] ?? JSON.stringify(member);
    if (value !== undefined) text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${value}`;
  }
  return `${text}}`;
}

function hasPrepared(answer: unknown): answer is Record<string, unknown> {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return false;
  const { receipt } = answer as { receipt?: Prepared | null };
  return receipt?.[JSON_TEXT] !== undefined;
}
