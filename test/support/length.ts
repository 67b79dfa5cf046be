/**
 * Some tests say the same with more rounds, and take minutes then. `npm test` runs their short form,
 * `npm run test:all` (`TEST_LENGTH=long`) the long one.
 */
export const LONG = process.env['TEST_LENGTH'] === 'long';

/** @returns how many rounds this run makes */
export const rounds = (short: number, long: number): number => (LONG ? long : short);

/** @returns how many examples a property is tried on; the short form tries a quarter, at least five */
export const examples = (long: number): number => rounds(Math.max(5, Math.ceil(long / 4)), long);
