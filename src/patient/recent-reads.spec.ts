import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MOST_NAMED, type Read, unrecorded, withReads } from './recent-reads.js';
import type { RecentRead } from './state.js';

const START = Date.parse('2026-01-15T17:00:00.000Z');
const at = (minutes: number): string => new Date(START + minutes * 60_000).toISOString();
const read = (reader: string, minutes: number, ...chains: string[]): Read => ({
  reader: { id: reader, role: 'prescriber', org: 'practice' },
  action: 'prescription.read',
  chains,
  at: at(minutes),
});

const many = (count: number): string[] => Array.from({ length: count }, (_, n) => `c${n}`);

describe('reads within the hour of a record', () => {
  const recorded = withReads([], [read('doctor', 0, 'a', 'b')], at(0));

  it.each<[string, Read[], [number, ...string[]][]]>([
    ['the same again', [read('doctor', 0, 'a', 'b')], []],
    ['a part of it, much later', [read('doctor', 59.99, 'b')], []],
    ['a chain not named yet', [read('doctor', 5, 'b', 'c')], [[5, 'c']]],
    ['the same when the hour is over', [read('doctor', 60, 'a')], [[60, 'a']]],
    ['from before the record', [read('doctor', -1, 'a')], [[-1, 'a']]],
    ['by somebody else', [read('other', 5, 'a')], [[5, 'a']]],
    [
      'gathered together: the first names the chain, whatever order they came in',
      [read('other', 7, 'a', 'c'), read('other', 6, 'a')],
      [
        [6, 'a'],
        [7, 'c'],
      ],
    ],
  ])('%s', (_, reads, expected) => {
    expect(unrecorded(recorded, reads).map((one) => [one.at, ...one.chains])).toEqual(
      expected.map(([minutes, ...chains]) => [at(minutes), ...chains]),
    );
  });

  it('a chain that was added keeps the hour of the first', () => {
    const more = withReads(recorded, [read('doctor', 50, 'c')], at(50));
    expect(more).toEqual([{ reader: 'doctor', since: at(0), chains: ['a', 'b', 'c'] }]);
    expect(withReads(more, [read('other', 60, 'a')], at(60))).toEqual([
      { reader: 'other', since: at(60), chains: ['a'] },
    ]);
  });

  it('names no more than so many chains; who was recorded first is recorded again first', () => {
    const both = withReads(recorded, [read('other', 1, ...many(MOST_NAMED - 1))], at(1));
    expect(both.map((one) => one.chains.length)).toEqual([1, MOST_NAMED - 1]);
    const full = withReads(both, [read('third', 2, ...many(MOST_NAMED + 1))], at(2));
    expect(full.map(({ reader, chains: named }) => [reader, named.length])).toEqual([['third', MOST_NAMED]]);
  });

  it('leave no chain out, however often each is read, and name it at most once in an hour that began with another', () => {
    const reads = fc.array(
      fc.record({
        reader: fc.constantFrom('x', 'y'),
        minutes: fc.nat({ max: 30 }),
        chains: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(reads, (steps) => {
        let state: RecentRead[] = [];
        let now = 0;
        const records: Read[] = [];
        for (const { reader, minutes, chains: seen } of steps) {
          now += minutes;
          const one = read(reader, now, ...seen);
          const fresh = unrecorded(state, [one]);
          state = withReads(state, fresh, at(now));
          records.push(...fresh);
          for (const chain of seen) {
            const naming = records.filter(
              ({ reader: { id }, chains: named, at: since }) =>
                id === reader && named.includes(chain) && Date.parse(at(now)) - Date.parse(since) < 60 * 60_000,
            );
            // Two records when an hour that began with another chain ended in between.
            expect([1, 2]).toContain(naming.length);
          }
          expect(state.length).toBeLessThanOrEqual(2);
        }
      }),
    );
  });
});
