import { describe, expect, it } from 'vitest';
import type { Schedule } from '../events.js';
import { mayFill, refillLimit, validUntil } from './us-federal.js';

describe('us-federal', () => {
  it.each<[string, Schedule, number]>([
    ['US-01: II', 'II', 0],
    ['US-17: III', 'III', 5],
    ['US-17: IV', 'IV', 5],
    ['US-19: V', 'V', 99],
    ['not controlled', null, 99],
  ])('refills: %s', (_, schedule, limit) => {
    expect(refillLimit(schedule)).toBe(limit);
  });

  it.each<[string, Schedule, string, string]>([
    ['US-14: III', 'III', '2026-01-01', '2026-07-01'],
    ['US-18: III, clamped', 'III', '2026-08-31', '2027-02-28'],
    ['IV', 'IV', '2026-01-01', '2026-07-01'],
    ['V: the setting', 'V', '2026-01-01', '2027-03-01'],
    ['II: the setting', 'II', '2026-01-01', '2027-03-01'],
    ['not controlled: the setting', null, '2026-01-01', '2027-03-01'],
  ])('valid until: %s', (_, schedule, writtenOn, until) => {
    expect(validUntil(schedule, writtenOn, 14)).toBe(until);
  });

  it.each<[string, number, string | null, boolean]>([
    ['the original, anywhere', 0, 'b', true],
    ['a refill where it was dispensed', 1, 'a', true],
    ['a refill elsewhere', 1, 'b', false],
    ['a refill that nobody dispensed before', 1, null, true],
  ])('fill: %s', (_, issue, holder, may) => {
    expect(mayFill(issue, holder, 'a')).toBe(may);
  });
});
