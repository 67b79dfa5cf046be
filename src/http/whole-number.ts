import { z } from 'zod';

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * A whole number as a path or a query has it, in the one spelling that has no other: `Number` alone takes `0x2`, `1e3`,
 * a space and nothing at all.
 * @param min at least
 * @param max at most
 */
export const wholeNumber = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(DECIMAL, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .meta({ type: 'integer', minimum: min, maximum: max });
