/** How long what was handed over lasts. */
import { addDays, daysBetween, localDate } from '../time/legal-days.js';
import type { Prescription } from './state.js';

export interface RunOut {
  /** First legal day without supply, YYYY-MM-DD in the order's zone. */
  readonly date: string;
  /** Days of supply left, today included; 0 once it has run out. */
  readonly daysLeft: number;
}

/**
 * When the supply runs out, from days' supply: each supply begins the day it was handed over or the day the one
 * before it ends, whichever is later (adherence.md 5). Reversed dispenses do not count, reported ones do.
 * @param now ms since 1970
 * @returns null before the order arrives or when nothing was handed over
 */
export function runOut(rx: Prescription, now: number): RunOut | null {
  const { order } = rx;
  if (!order) return null;
  const fills = rx.dispenses
    .filter(({ reversed }) => !reversed)
    .map(({ whenHandedOver, daysSupply }) => ({ day: localDate(Date.parse(whenHandedOver), order.zone), daysSupply }))
    .toSorted((a, b) => (a.day < b.day ? -1 : Number(a.day > b.day)));
  const date = fills.reduce<string | null>(
    (end, { day, daysSupply }) => addDays(end !== null && end > day ? end : day, daysSupply),
    null,
  );
  return date === null ? null : { date, daysLeft: Math.max(0, daysBetween(localDate(now, order.zone), date)) };
}
