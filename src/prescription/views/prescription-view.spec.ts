import { describe, expect, it } from 'vitest';
import { instant } from './prescription-view.js';

describe('instant', () => {
  it.each([
    ['2026-01-15T12:00:00-05:00', '2026-01-15T17:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is kept as UTC', (text, kept) => {
    expect(instant.parse(text)).toBe(kept);
  });

  it.each([
    ['in the year 0', '0000-06-01T00:00:00Z'],
    ['before the year 0 in UTC', '0000-01-01T00:00:00+01:00'],
    ['in the year 0 in UTC', '0001-01-01T00:00:00+01:00'],
    ['after the year 9999 in UTC', '9999-12-31T23:59:59-01:00'],
    ['of no offset', '2026-01-15T12:00:00'],
    ['of a day that is none', '2026-02-30T12:00:00Z'],
    ['of words', 'yesterday'],
  ])('%s is refused', (_, text) => {
    expect(instant.safeParse(text).success).toBe(false);
  });
});
