import { describe, expect, it } from 'vitest';
import { addDays, addMonthsClamped, daysBetween, isZone, localDate, startOfDay } from './legal-days.js';

const instant = (text: string) => Date.parse(text);

describe('legal days', () => {
  it.each([
    ['2026-01-15T04:59:59.999Z', 'America/New_York', '2026-01-14'],
    ['2026-01-15T05:00:00.000Z', 'America/New_York', '2026-01-15'],
    ['2026-01-16T04:59:59.999Z', 'America/New_York', '2026-01-15'],
    // The day of 23 hours and the day of 25.
    ['2026-03-09T03:59:59.999Z', 'America/New_York', '2026-03-08'],
    ['2026-03-09T04:00:00.000Z', 'America/New_York', '2026-03-09'],
    ['2026-11-02T04:59:59.999Z', 'America/New_York', '2026-11-01'],
    ['2026-11-02T05:00:00.000Z', 'America/New_York', '2026-11-02'],
    ['2026-01-15T10:00:00.000Z', 'Pacific/Kiritimati', '2026-01-16'],
    ['2026-01-15T00:00:00.000Z', 'UTC', '2026-01-15'],
  ])('%s in %s is %s', (at, zone, date) => {
    expect(localDate(instant(at), zone)).toBe(date);
  });

  it('keeps zones and days apart when it is asked in turn', () => {
    const at = instant('2026-01-15T03:00:00.000Z');
    const asked = ['UTC', 'America/New_York', 'UTC', 'Asia/Tokyo'].map((zone) => localDate(at, zone));
    expect(asked).toEqual(['2026-01-15', '2026-01-14', '2026-01-15', '2026-01-15']);
    expect(localDate(at - 86_400_000, 'UTC')).toBe('2026-01-14');
    expect(localDate(at, 'UTC')).toBe('2026-01-15');
  });

  it.each([
    ['2026-01-15', 'America/New_York', '2026-01-15T05:00:00.000Z'],
    ['2026-07-15', 'America/New_York', '2026-07-15T04:00:00.000Z'],
    // The clock in Beirut goes from 00:00 to 01:00.
    ['2026-03-29', 'Asia/Beirut', '2026-03-28T22:00:00.000Z'],
  ])('%s in %s begins at %s', (date, zone, at) => {
    expect(new Date(startOfDay(date, zone)).toISOString()).toBe(at);
    expect(localDate(instant(at), zone)).toBe(date);
    expect(localDate(instant(at) - 1, zone)).toBe(addDays(date, -1));
  });

  it.each([
    ['2026-01-01', 6, '2026-07-01'],
    ['2026-08-31', 6, '2027-02-28'],
    ['2027-08-31', 6, '2028-02-29'],
    ['2026-12-31', 2, '2027-02-28'],
    ['2028-02-29', 12, '2029-02-28'],
  ])('%s and %i months is %s', (date, months, then) => {
    expect(addMonthsClamped(date, months)).toBe(then);
  });

  it('counts days over the end of a year and back', () => {
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01');
    expect(daysBetween('2026-12-31', '2027-01-30')).toBe(30);
    expect(daysBetween('2027-01-30', '2026-12-31')).toBe(-30);
    expect(daysBetween('2026-03-08', '2026-03-09')).toBe(1);
  });

  it('knows zones and refuses what is none', () => {
    const zones = ['America/New_York', 'UTC', 'Mars/Olympus', '', '2020-01-01T00:00Z[UTC]'];
    expect(zones.map(isZone)).toEqual([true, true, false, false, false]);
    expect(() => localDate(0, 'Mars/Olympus')).toThrow(RangeError);
    expect(() => addDays('2026-02-30', 1)).toThrow(RangeError);
  });
});
