import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, compare, isMismatch, isQuantity, subtract } from './quantity.js';

const ml = (value: string) => ({ value, unit: 'mL' });
/** So many hundredths. */
const decimal = (n: number) => ml(`${Math.floor(n / 100)}.${String(n % 100).padStart(2, '0')}`);
const tablets = (value: string) => ({ value, unit: '{tablet}' });

describe('quantities', () => {
  it.each(['1', '0.1', '30.00', '999999999999.999999999'])('%s is an amount', (value) => {
    expect(isQuantity(ml(value))).toBe(true);
  });
  it.each(['', '0', '0.0', '-1', '+1', '1e3', '1.', '.5', '01', ' 1', '1,5', 'NaN', '1.0000000001', '1000000000000'])(
    '"%s" is no amount',
    (value) => {
      expect(isQuantity(ml(value))).toBe(false);
    },
  );
  it.each(['', ' ', 'm L', 'µg', 'x'.repeat(51)])('"%s" is no unit', (unit) => {
    expect(isQuantity({ value: '1', unit })).toBe(false);
  });

  it('adds and subtracts exactly', () => {
    expect(add(ml('0.1'), ml('0.2'))).toEqual(ml('0.3'));
    expect(add(ml('30.00'), ml('0.50'))).toEqual(ml('30.5'));
    expect(subtract(ml('30'), ml('0.000000001'))).toEqual(ml('29.999999999'));
  });

  it('never counts across units', () => {
    const mismatch = { mismatch: { left: 'mL', right: '{tablet}' } };
    expect(add(ml('1'), tablets('1'))).toEqual(mismatch);
    expect(subtract(ml('1'), tablets('1'))).toEqual(mismatch);
    const compared = compare(ml('1'), tablets('1'));
    expect(compared).toEqual(mismatch);
    expect([isMismatch(compared), isMismatch(compare(ml('1'), ml('1'))), isMismatch(add(ml('1'), ml('1')))]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('compares by value, not by text', () => {
    expect([compare(ml('9'), ml('10')), compare(ml('1.0'), ml('1')), compare(ml('2'), ml('1.99'))]).toEqual([-1, 0, 1]);
  });

  it('agrees with integers', () => {
    const cents = fc.integer({ min: 1, max: 1_000_000_000 });
    fc.assert(
      fc.property(cents, cents, (a, b) => {
        const sum = add(decimal(a), decimal(b));
        expect(compare(isMismatch(sum) ? ml('0') : sum, decimal(a + b))).toBe(0);
        expect(compare(decimal(a), decimal(b))).toBe(Math.sign(a - b));
      }),
    );
  });
});
