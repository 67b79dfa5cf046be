/**
 * Every stable refusal code with its HTTP status and title: the one table. A code says what is wrong,
 * never about whom; invalid transitions are 409 with the current state in the facts, not 403.
 *
 * A title is for whoever reads it on a screen: what is wrong, what was not recorded, what to do next, in the words of
 * prescribers, pharmacists and patients. Facts of the refusal stand in backquotes.
 */
import { CARE_REFUSALS } from './care-refusals.js';
import { RECORD_REFUSALS } from './record-refusals.js';
import { REQUEST_REFUSALS } from './request-refusals.js';

export const REFUSALS = { ...REQUEST_REFUSALS, ...RECORD_REFUSALS, ...CARE_REFUSALS } as const;

export type RefusalCode = keyof typeof REFUSALS;
