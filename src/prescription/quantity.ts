/** Exact amounts: decimal strings with a UCUM unit, never added across units. */
import { Big } from 'big.js';
import type { Quantity } from './events.js';

/** Two amounts cannot be added or compared: their units differ. */
export type QuantityUnitMismatch = { readonly mismatch: { readonly left: string; readonly right: string } };

/** Plain decimals only; bounded, so that a caller cannot make arithmetic slow. */
const DECIMAL = /^(0|[1-9]\d{0,11})(\.\d{1,9})?$/;
const UNIT = /^[!-~]{1,50}$/;

/** @returns whether it is an amount greater than zero with a unit of printable ASCII (UCUM section 2.1) */
export function isQuantity({ value, unit }: Quantity): boolean {
  return DECIMAL.test(value) && UNIT.test(unit) && new Big(value).gt(0);
}

export function isMismatch(result: object | number): result is QuantityUnitMismatch {
  return typeof result === 'object' && 'mismatch' in result;
}

/** @returns the exact sum, without trailing zeros */
export function add(left: Quantity, right: Quantity): Quantity | QuantityUnitMismatch {
  if (left.unit !== right.unit) return mismatch(left, right);
  return { value: new Big(left.value).plus(right.value).toFixed(), unit: left.unit };
}

/** @returns the exact difference, without trailing zeros; it may be negative */
export function subtract(left: Quantity, right: Quantity): Quantity | QuantityUnitMismatch {
  if (left.unit !== right.unit) return mismatch(left, right);
  return { value: new Big(left.value).minus(right.value).toFixed(), unit: left.unit };
}

/** @returns -1, 0 or 1 as left is less than, equal to or greater than right */
export function compare(left: Quantity, right: Quantity): -1 | 0 | 1 | QuantityUnitMismatch {
  if (left.unit !== right.unit) return mismatch(left, right);
  return new Big(left.value).cmp(right.value);
}

function mismatch(left: Quantity, right: Quantity): QuantityUnitMismatch {
  return { mismatch: { left: left.unit, right: right.unit } };
}
