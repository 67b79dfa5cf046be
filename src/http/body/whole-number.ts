import { z } from 'zod';

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * A whole number as a path or a query has it, in the one spelling that has no other: `Number` alone takes `0x2`, `1e3`,
 * a space and nothing at all.
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

/** The same where it may be left out. In words, since a schema of what is sent has no place for a number that is read. */
export const wholeNumberOr = (fallback: number, min: number, max: number) =>
  wholeNumber(min, max).default(fallback).describe(`default ${fallback}`);
