/**
 * Values from a database that anybody may have edited. SQLite lets any column hold any type. A value of the wrong type
 * becomes one that equals nothing expected, so that it is a finding and never an exception.
 */

/** Shorter than anything that the ledger stores, but not empty, which means "erased" in column `data_key`. */
const UNREADABLE = Buffer.alloc(1);

export const bytes = (value: unknown): Buffer => (Buffer.isBuffer(value) ? value : UNREADABLE);

/** NaN for anything but a safe integer: it equals nothing and is in no range. */
export const integer = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : Number.NaN);

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
