/**
 * Answers as JSON text. The dash of a signed note is the one character of most answers beyond Latin-1, and would make
 * the engine hold, measure and encode all of their text in its wide form: twice the work on the way of every write.
 */

/**
 * A member under this name holds the JSON text of its object. `JSON.stringify` passes it over; a spread takes it along,
 * so that whoever changes a copy leaves it out.
 */
export const JSON_TEXT = Symbol('JSON text');

const BEYOND = /[\u0080-\uffff]/g;

interface Prepared {
  readonly [JSON_TEXT]?: string;
}

/** JSON of a text in ASCII alone: what lies beyond is escaped (RFC 8259 section 7). */
export function asciiText(text: string): string {
  const json = JSON.stringify(text);
  const escaped = json.replace(BEYOND, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  // What is replaced in a wide text stays wide, whatever is left in it: only read anew from bytes it is narrow.
  return escaped === json ? json : Buffer.from(escaped, 'latin1').toString('latin1');
}

/** The JSON text of an answer: the same value as `JSON.stringify` gives, with members whose text is known taken as they are. */
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
