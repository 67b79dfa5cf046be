import { describe, expect, it } from 'vitest';
import { wholeNumber, wholeNumberOr } from './whole-number.js';

describe('a whole number of an address', () => {
  it.each<[string, number]>([
    ['0', 0],
    ['7', 7],
    ['100', 100],
  ])('is %j', (text, value) => {
    expect(wholeNumber(0, 100).parse(text)).toBe(value);
  });

  it.each([
    '',
    ' ',
    '%20',
    ' 7',
    '7 ',
    '+7',
    '-1',
    '07',
    '0x2',
    '1e1',
    '2.0',
    '7\n',
    '٧',
    '101',
    'NaN',
    '99999999999999999999',
  ])('is not %j', (text) => {
    expect(wholeNumber(0, 100).safeParse(text).success).toBe(false);
  });

  it('is none beyond what a number holds exactly', () => {
    expect(wholeNumber(0).parse('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
    expect(wholeNumber(0).safeParse('9007199254740992').success).toBe(false);
  });

  it.each([undefined, null, 7, ['7'], ['7', '8']])('is no %j', (value) => {
    expect(wholeNumber(0).safeParse(value).success).toBe(false);
  });

  it.each<[string, string, number?]>([
    ['1000', 'must be a whole number from 1 to 200', 200],
    ['x', 'must be a whole number from 1 to 200', 200],
    ['0', 'must be a whole number of at least 1'],
  ])('%j is refused with its bounds', (text, message, max) => {
    expect(
      wholeNumber(1, max)
        .safeParse(text)
        .error?.issues.map((issue) => issue.message),
    ).toEqual([message]);
  });

  it('may be left out where there is another', () => {
    expect(wholeNumberOr(50, 1, 200).parse(undefined)).toBe(50);
    expect(wholeNumberOr(50, 1, 200).parse('7')).toBe(7);
    expect(wholeNumberOr(50, 1, 200).safeParse('').success).toBe(false);
  });
});
