/**
 * Some tests exist with few or many rounds; the long form takes minutes. `npm test` runs the short form, `npm run
 * test:all` (`TEST_LENGTH=long`) the long one.
 */
export const LONG = process.env['TEST_LENGTH'] === 'long';

/** @returns the number of rounds in this run */
export const rounds = (short: number, long: number): number => (LONG ? long : short);

/** @returns the number of examples for a property; the short form takes a quarter, at least five */
export const examples = (long: number): number => rounds(Math.max(5, Math.ceil(long / 4)), long);
