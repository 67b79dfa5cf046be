import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jcs, JcsError } from './jcs.js';
import { jsonValue } from '../../../test/fixtures/rfc6962/vectors.js';
import { examples } from '../../../test/support/length.js';

describe('canonical JSON', () => {
  it('is what canonicalize writes, for any JSON', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        expect(jcs(value)).toBe(canonicalize(value));
      }),
      { numRuns: examples(3000) },
    );
  });

  it('is what canonicalize writes where no object can hold the names in order', () => {
    const name = fc.constantFrom(
      '0',
      '1',
      '10',
      '9',
      '-1',
      '1.5',
      '__proto__',
      'a',
      'Z',
      'ö',
      '\u{1f600}',
      '\ufb33',
      '',
    );
    const { value: any } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.uniqueArray(fc.tuple(name, tie('value')), { selector: ([key]) => key, maxLength: 6 }).map((members) => {
          const text = members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
          return JSON.parse(`{${text.join()}}`) as unknown;
        }),
      ),
    }));
    fc.assert(
      fc.property(any, (value) => {
        expect(jcs(value)).toBe(canonicalize(value));
      }),
      { numRuns: 2000 },
    );
  });

  it('is the same for its own reading, which is in order already, and leaves its input alone', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        const before = JSON.stringify(value);
        const text = jcs(value);
        expect(jcs(JSON.parse(text))).toBe(text);
        expect(JSON.stringify(value)).toBe(before);
      }),
      { numRuns: examples(1000) },
    );
  });

  it('writes the example of RFC 8785 section 3.2.2', () => {
    const value: unknown = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    );
    expect(jcs(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it('sorts by UTF-16 code units (RFC 8785 section 3.2.3)', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, ö: 7 };
    expect(jcs(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
  });

  it('sorts integer-like names as text, deep inside too', () => {
    expect(jcs({ b: [{ '10': 1, '9': 2, a: 3 }], a: -0 })).toBe('{"a":0,"b":[{"10":1,"9":2,"a":3}]}');
  });

  it('keeps a member named __proto__', () => {
    const text = '{"__proto__":{"b":1},"a":2}';
    expect(jcs(JSON.parse('{"a":2,"__proto__":{"b":1}}'))).toBe(text);
  });

  it('does not take an escaped backslash for a surrogate', () => {
    expect(jcs('\\ud800')).toBe(String.raw`"\\ud800"`);
  });

  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['an undefined member', { a: undefined }],
    ['a hole', [1, , 2]], // oxlint-disable-line no-sparse-arrays -- the hole is the test
    ['NaN', [Number.NaN]],
    ['Infinity', { a: Infinity }],
    ['a bigint', 1n],
    ['a symbol', { a: Symbol('a') }],
    ['a function', { toJSON: () => 1 }],
    ['a Date', { at: new Date(0) }],
    ['bytes', new Uint8Array(2)],
    ['a lone surrogate', 'a\ud800'],
    ['a lone surrogate in a name', { '\udc00': 1 }],
    ['a lone surrogate beside integer-like names', { b: '\ud800', '1': 2, a: 1 }],
    ['a circle', circular],
  ])('refuses %s', (_, value) => {
    expect(() => jcs(value)).toThrow(JcsError);
  });
});
