// The space characters of Unicode, plus, control characters (which no note may hold) and half surrogate pairs.
const NOT_IN_A_NAME = /[\p{White_Space}\p{Cc}\p{Surrogate}+]/u;

/**
 * True when `text` can name a key, and therefore a log: a log's origin is its key's name.
 * Not empty, no Unicode space, no plus (C2SP signed-note), no control character.
 */
export function isKeyName(text: string): boolean {
  return text !== '' && !NOT_IN_A_NAME.test(text);
}
