import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, parseStrictJson } from './strict-json.js';
import { examples } from '../../../test/support/length.js';

const parse = (text: string) => parseStrictJson(Buffer.from(text));
const valueOf = (body: Uint8Array): unknown => JSON.parse(Buffer.from(body).toString());
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

describe('strict JSON', () => {
  it.each([
    ['a member twice', '{"a":1,"a":2}', 'request.duplicate-key'],
    ['a member twice, once escaped', '{"a":1,"\\u0061":1}', 'request.duplicate-key'],
    ['a member twice deep inside', '[{"x":{"b":{},"c":1,"b":{}}}]', 'request.duplicate-key'],
    ['a member twice, the first holding others', '{"a":{"x":1,"y":2},"a":{"x":1,"y":2}}', 'request.duplicate-key'],
    ['__proto__', '{"__proto__":{"admin":true}}', 'request.forbidden-key'],
    ['__proto__, escaped', '{"\\u005f_proto__":1}', 'request.forbidden-key'],
    ['NUL in a string', '{"a":"x\\u0000y"}', 'request.forbidden-character'],
    ['NUL in a member name', '{"\\u0000":1}', 'request.forbidden-character'],
    ['half a surrogate pair', '["\\ud83d"]', 'request.forbidden-character'],
    ['the other half', '["\\udca9\\ud83d"]', 'request.forbidden-character'],
    ['a raw control character', '["\u0001"]', 'request.malformed-json'],
    ['a byte order mark', '\ufeff{}', 'request.malformed-json'],
    ['nothing', '', 'request.malformed-json'],
    ['a comment', '{}//', 'request.malformed-json'],
    ['too many levels', nested(MAX_DEPTH + 1), 'request.too-deep'],
    ['a megabyte of levels', nested(500_000), 'request.too-deep'],
  ])('refuses %s', (_, text, code) => {
    expect(parse(text)).toEqual({ refused: code });
  });

  it.each([
    ['an overlong NUL', [0x22, 0xc0, 0x80, 0x22]],
    ['a surrogate in UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['Latin-1', [0x22, 0xe9, 0x22]],
  ])('refuses bytes that are no UTF-8: %s', (_, bytes) => {
    expect(parseStrictJson(Buffer.from(bytes))).toEqual({ refused: 'request.invalid-utf8' });
  });

  it.each([
    ['colons, quotes and backslashes in strings', '{"a:b":"c:\\"d\\":\\\\","e":"\\\\"}'],
    ['the same name in sibling objects', '[{"a":1},{"a":1}]'],
    ['a whole surrogate pair, escaped and raw', '["\\ud83d\\udca9","💩"]'],
    ['members named like those of Object', '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
    ['as many levels as allowed', nested(MAX_DEPTH)],
    ['white space', ' {\t"a" :\r\n1 } '],
  ])('accepts %s', (_, text) => {
    expect(parse(text)).toEqual({ value: JSON.parse(text) });
  });

  it('equals JSON.parse on whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }),
        fc.constantFrom(undefined, 1),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent);
          fc.pre(!text.includes('\\u0000') && !text.includes('"__proto__"'));
          expect(parse(text)).toEqual({ value: JSON.parse(text) });
        },
      ),
      { numRuns: examples(1000) },
    );
  });

  it('finds every member that an object has twice', () => {
    const member = fc.tuple(
      fc.constantFrom('a', 'b', 'c', '\\u0061', ':'),
      fc.constantFrom('1', '{}', '{"z":0}', '":"'),
    );
    fc.assert(
      fc.property(fc.array(member, { maxLength: 6 }), (members) => {
        const names = members.map(([name]) => JSON.parse(`"${name}"`));
        const text = `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
        const twice = new Set(names).size < names.length;
        expect(parse(text)).toEqual(twice ? { refused: 'request.duplicate-key' } : { value: JSON.parse(text) });
      }),
      { numRuns: examples(1000) },
    );
  });

  it('never throws, whatever the bytes', () => {
    const fragments = fc.array(
      fc.oneof(
        fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', '"a"', '\\u0000', '\\ud800', '1', 'null', '__proto__'),
        fc.string(),
      ),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fragments.map((parts) => Buffer.from(parts.join(''))),
    );
    fc.assert(
      fc.property(bytes, (body) => {
        const parsed = parseStrictJson(Buffer.from(body));
        const sound =
          'refused' in parsed ? parsed.refused.startsWith('request.') : isDeepStrictEqual(parsed.value, valueOf(body));
        expect(sound).toBe(true);
      }),
      { numRuns: examples(2000) },
    );
  });
});
