/**
 * Legal days: `YYYY-MM-DD` as lived in an IANA zone. Instants are ms since 1970. The write path asks for the
 * same few days over and over, so that answers are kept.
 */
import { Temporal } from 'temporal-polyfill';

type LocalDay = { date: string; from: number; until: number };

const KEPT = 10_000;
const starts = new Map<string, number>();
const sums = new Map<string, string>();
/** The day last asked for, by zone: nearly every question is about today. */
const latest = new Map<string, LocalDay>();

/**
 * @param ms instant, ms since 1970
 * @returns the legal day that it falls on in the zone
 * @throws {RangeError} on a zone that does not exist
 */
export function localDate(ms: number, zone: string): string {
  const known = latest.get(zone);
  if (known && ms >= known.from && ms < known.until) return known.date;
  const day = Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone).toPlainDate();
  const date = day.toString();
  latest.set(zone, { date, from: startOfDay(date, zone), until: startOfDay(addDays(date, 1), zone) });
  return date;
}

/**
 * @returns the first instant of the legal day, ms since 1970; where the clock skips midnight, the first
 * instant after the gap
 * @throws {RangeError} on a date or a zone that does not exist
 */
export function startOfDay(date: string, zone: string): number {
  return remember(
    starts,
    `${date} ${zone}`,
    () => Temporal.PlainDate.from(date).toZonedDateTime({ timeZone: zone }).epochMilliseconds,
  );
}

/**
 * Calendar months on; a day that the month does not have becomes its last (rules.md US-18).
 * @throws {RangeError} on a date that does not exist
 */
export function addMonthsClamped(date: string, months: number): string {
  return remember(sums, `${date} ${months}m`, () =>
    Temporal.PlainDate.from(date).add({ months }, { overflow: 'constrain' }).toString(),
  );
}

/** @throws {RangeError} on a date that does not exist */
export function addDays(date: string, days: number): string {
  return remember(sums, `${date} ${days}d`, () => Temporal.PlainDate.from(date).add({ days }).toString());
}

/** @returns days from the first date to the second; negative when the second is earlier */
export function daysBetween(from: string, to: string): number {
  return Temporal.PlainDate.from(from).until(Temporal.PlainDate.from(to), { largestUnit: 'days' }).days;
}

/** @returns whether the text is an IANA zone that this runtime knows */
export function isZone(zone: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    // Temporal also takes a whole date-time with its zone in brackets.
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

function remember<T>(kept: Map<string, T>, key: string, compute: () => T): T {
  const known = kept.get(key);
  if (known !== undefined) return known;
  const value = compute();
  if (kept.size >= KEPT) kept.clear();
  kept.set(key, value);
  return value;
}
