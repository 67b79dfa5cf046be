import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, EncodingError, equal, fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from './bytes.js';
import { orRefused } from '../../../test/fixtures/rfc6962/vectors.js';

describe('base64', () => {
  it('is what Buffer writes, and comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100, size: 'max' }), (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
    );
  });

  it.each([
    'A',
    'AA',
    'AAA',
    'AA=',
    'AAAA=',
    '====',
    'AB==',
    'AAB=',
    'AA==AAAA',
    ' AAAA',
    'AAAA\n',
    'AA-_',
    'ÄAAA',
    'A===',
    'AA= ',
  ])('refuses %j', (text) => {
    expect(() => fromBase64(text)).toThrow(EncodingError);
  });

  it('has one text for the same bytes: any other text is refused or means other bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40, size: 'max' }),
        fc.string({ minLength: 1, maxLength: 2 }),
        fc.nat(),
        (bytes, other, at) => {
          const text = toBase64(bytes);
          const place = at % text.length;
          const changed = text.slice(0, place) + other + text.slice(place + 1);
          fc.pre(changed !== text);
          expect(orRefused(() => fromBase64(changed), EncodingError)).not.toEqual(bytes);
        },
      ),
    );
  });
});

describe('hex', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });
  it.each(['0', 'AB', '0g', ' 00', '00\n'])('refuses %j', (text) => {
    expect(() => fromHex(text)).toThrow(EncodingError);
  });
});

describe('UTF-8', () => {
  it('comes back, byte order mark included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(fromUtf8(utf8(text))).toBe(text);
      }),
    );
    expect(fromUtf8(utf8('\ufeffa'))).toBe('\ufeffa');
  });
  it('refuses lone surrogates', () => {
    for (const text of ['\ud800', 'a\udc00', '\udc00\ud800']) expect(() => utf8(text)).toThrow(EncodingError);
    expect(utf8('\ud83d\ude00')).toHaveLength(4);
  });
  it.each([[[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0xe2, 0x82]]])('refuses bytes %j', (bytes) => {
    expect(() => fromUtf8(Uint8Array.from(bytes))).toThrow(EncodingError);
  });
});

it('concat and equal', () => {
  expect(concat(Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
  expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
  expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
  expect(equal(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
});
