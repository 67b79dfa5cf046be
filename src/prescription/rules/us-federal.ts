/**
 * The federal floor of the United States, as data and pure functions; states may be stricter. What a rule
 * decided is written into the event, with the name and version of this rule set, and is never recomputed.
 *
 * To come here: transfers (21 CFR 1306.08, 1306.25), partial fills of schedule II (1306.13), series of
 * schedule II (1306.12(b)), partial fills of III-V (1306.23).
 */
import { addMonthsClamped } from '../../time/legal-days.js';
import type { Schedule } from '../events.js';

export const RULE_SET = 'us-federal';
export const RULE_SET_VERSION = '1';

/** A pharmacy's systems carry two digits of refills (NCPDP SCRIPT). */
const MOST_REFILLS = 99;

/** 21 CFR 1306.12(a): none for schedule II; 1306.22(a): five for III and IV; no federal limit otherwise. */
const REFILL_LIMITS: Readonly<Record<Exclude<Schedule, null>, number>> = {
  II: 0,
  III: 5,
  IV: 5,
  V: MOST_REFILLS,
};

/** 21 CFR 1306.22(a): III and IV not more than six months after the date of issue. */
const VALIDITY_MONTHS: Readonly<Partial<Record<Exclude<Schedule, null>, number>>> = { III: 6, IV: 6 };

export function refillLimit(schedule: Schedule): number {
  return schedule === null ? MOST_REFILLS : REFILL_LIMITS[schedule];
}

/**
 * @param writtenOn legal date of writing
 * @param otherwise validity in months where no rule limits it (a setting)
 * @returns the last legal day on which the order may be filled
 */
export function validUntil(schedule: Schedule, writtenOn: string, otherwise: number): string {
  const months = schedule === null ? undefined : VALIDITY_MONTHS[schedule];
  return addMonthsClamped(writtenOn, months ?? otherwise);
}

/**
 * Refills stay at the pharmacy that dispensed last, until they are transferred.
 * @param issue 0 = original, then refills
 * @param refillHolder pharmacy that dispensed last; null: none has
 */
export function mayFill(issue: number, refillHolder: string | null, pharmacy: string): boolean {
  return issue === 0 || refillHolder === null || refillHolder === pharmacy;
}
