import { z } from 'zod';

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * A whole number in a path or a query, in decimal digits only. `Number` alone would also take `0x2`, `1e3`, a space and an
 * empty text.
 * @param min at least
 * @param max at most
 */
export const wholeNumber = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z.preprocess(
    (text) => (typeof text === 'string' && DECIMAL.test(text) ? Number(text) : Number.NaN),
    z
      .number({ error: `must be a whole number ${range(min, max)}` })
      .int()
      .min(min)
      .max(max),
  );

const range = (min: number, max: number): string =>
  max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;

/** The same with a default. The description names it, because the schema of the text that is sent cannot hold a number. */
export const wholeNumberOr = (fallback: number, min: number, max: number) =>
  wholeNumber(min, max).default(fallback).describe(`default ${fallback}`);
