/** The forms in which a text may lie in a file without standing there in plain. */
export interface Spelling {
  readonly form: string;
  readonly bytes: Buffer;
}

/** @param text at least six characters, so that what is left of it in base64 says something */
export function spellingsOf(text: string): Spelling[] {
  const utf8 = Buffer.from(text);
  const utf16 = Buffer.from(text, 'utf16le');
  const escaped = JSON.stringify(text).slice(1, -1);
  const ascii = escaped.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const spellings = new Map<string, Spelling>();
  const add = (form: string, bytes: Buffer) => {
    if (bytes.length >= 6) spellings.set(bytes.toString('hex'), { form, bytes });
  };
  add('plain', utf8);
  add('lower case', Buffer.from(text.toLowerCase()));
  add('UTF-16LE', utf16);
  add('UTF-16BE', Buffer.from(utf16).swap16());
  add('JSON', Buffer.from(escaped));
  add('JSON in JSON', Buffer.from(JSON.stringify(escaped).slice(1, -1)));
  add('JSON in ASCII', Buffer.from(ascii));
  add('URL', Buffer.from(encodeURIComponent(text)));
  add('hex', Buffer.from(utf8.toString('hex')));
  add('HEX', Buffer.from(utf8.toString('hex').toUpperCase()));
  for (let offset = 0; offset < 3; offset++) {
    for (const form of ['base64', 'base64url'] as const) add(`${form}, offset ${offset}`, inBase64(utf8, offset, form));
  }
  return [...spellings.values()];
}

/** What base64 of a longer text shows for sure of this part that begins at this offset modulo 3. */
function inBase64(part: Buffer, offset: number, form: 'base64' | 'base64url'): Buffer {
  const text = Buffer.concat([Buffer.alloc(offset), part])
    .toString(form)
    .replaceAll('=', '');
  const end = Math.floor(((offset + part.length) * 8) / 6);
  return Buffer.from(text.slice(Math.ceil((offset * 8) / 6), end));
}

/** @returns `name: form of 'text'` for each text that is found in any of these */
export function leaks(texts: readonly string[], places: ReadonlyMap<string, Buffer>): string[] {
  return texts.flatMap((text) =>
    spellingsOf(text).flatMap(({ form, bytes }) =>
      [...places].filter(([, content]) => content.includes(bytes)).map(([name]) => `${name}: ${form} of '${text}'`),
    ),
  );
}
