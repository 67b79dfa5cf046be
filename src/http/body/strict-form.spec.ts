import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictForm } from './strict-form.js';

const parse = (text: string) => parseStrictForm(Buffer.from(text, 'latin1'));

describe('parseStrictForm', () => {
  it.each<[string, Record<string, string>]>([
    ['', {}],
    ['a=b', { a: 'b' }],
    ['a=b&c=d%20e+f', { a: 'b', c: 'd e f' }],
    ['t=urn:ietf:params', { t: 'urn:ietf:params' }],
    ['t=urn%3Aietf%3Aparams', { t: 'urn:ietf:params' }],
    ['a=b=c', { a: 'b=c' }],
    ['a=%F0%9D%84%9E', { a: '𝄞' }],
    ['a=&b=c', { b: 'c' }],
    ['constructor=x', { constructor: 'x' }],
  ])('takes %j', (text, value) => {
    expect(parse(text)).toEqual({ value });
  });

  it.each([
    ['a=b&a=c', 'request.duplicate-key'],
    ['a=&a=c', 'request.duplicate-key'],
    ['a=b&%61=c', 'request.duplicate-key'],
    ['a', 'request.malformed-form'],
    ['=b', 'request.malformed-form'],
    ['a=b&', 'request.malformed-form'],
    ['&a=b', 'request.malformed-form'],
    ['a=b&&c=d', 'request.malformed-form'],
    ['a=%', 'request.malformed-form'],
    ['a=%zz', 'request.malformed-form'],
    ['a=%ff', 'request.malformed-form'],
    ['a=%ed%a0%80', 'request.malformed-form'],
    ['a=%c0%af', 'request.malformed-form'],
    ['a=b c', 'request.malformed-form'],
    ['a=b\r\n', 'request.malformed-form'],
    ['a=\u00e9', 'request.malformed-form'],
    ['a=\0', 'request.malformed-form'],
    ['a=%00', 'request.forbidden-character'],
    ['%00=a', 'request.forbidden-character'],
    ['__proto__=x', 'request.forbidden-key'],
    ['{"a":"b"}', 'request.malformed-form'],
  ])('refuses %j: %s', (text, refused) => {
    expect(parse(text)).toEqual({ refused });
  });

  it('reads back what URLSearchParams writes', () => {
    const name = fc
      .string({ minLength: 1, unit: 'grapheme' })
      .filter((text) => text !== '__proto__' && !text.includes('\0'));
    const value = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }), (pairs) => {
        const encoded = new URLSearchParams(pairs).toString();
        expect(parseStrictForm(Buffer.from(encoded))).toEqual({ value: Object.fromEntries(pairs) });
      }),
    );
  });

  it('never throws, and never takes what URLSearchParams reads otherwise', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc
            .string({ unit: fc.constantFrom('a', 'b', '=', '&', '%', '+', 'c', '0', 'F', 'f', ' ') })
            .map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          const parsed = parseStrictForm(Buffer.from(bytes));
          if ('refused' in parsed) return;
          const lenient = [...new URLSearchParams(Buffer.from(bytes).toString())].filter(([, value]) => value !== '');
          expect(parsed.value).toEqual(Object.fromEntries(lenient));
        },
      ),
    );
  });
});
