import { describe, expect, it } from 'vitest';
import {
  cancel,
  claim,
  dispense,
  DOCTOR,
  given,
  importOrder,
  inOneLine,
  issue,
  med,
  release,
  report,
  type Step,
  tablets,
  tell,
  timer,
} from '../../test/support/domain.js';
import { nextTimer } from './queries.js';

const LAST_INSTANT = '2027-01-16T04:59:59.999Z';
const OVER = '2027-01-16T05:00:00.000Z';
const waiting = issue({ earliestFillOn: '2026-01-20' });

const ROWS: [name: string, given: Step[], at: string, types: string[], state: string][] = [
  ['nothing is due', [issue()], LAST_INSTANT, [], 'active | ready'],
  ['the last moment before the first day', [waiting], '2026-01-20T04:59:59.999Z', [], 'active | future'],
  ['the first moment of the first day', [waiting], '2026-01-20T05:00:00.000Z', ['issue.readied/1'], 'active | ready'],
  [
    'a refill waits for the fill before it, not for time',
    [issue({ refills: 1 })],
    '2026-06-01T12:00:00.000Z',
    [],
    'active | ready future',
  ],
  ['EPS-13: ready expires', [issue()], OVER, ['issue.expired/1'], 'stopped | expired'],
  ['future-dated expires without getting ready', [waiting], OVER, ['issue.expired/1'], 'stopped | expired'],
  ['claimed expires', [issue(), claim()], OVER, ['issue.expired/1'], 'stopped | expired'],
  [
    'EPS-14: part-dispensed ends as dispensed',
    [issue(), claim(), dispense('10', 'd1')],
    OVER,
    ['issue.expired/1'],
    'completed | dispensed',
  ],
  [
    'EPS-14: a remainder that was given back',
    [issue(), claim(), dispense('10', 'd1'), release()],
    OVER,
    ['issue.expired/1'],
    'completed | dispensed',
  ],
  [
    'part-dispensed with a refill',
    [issue({ refills: 1 }), claim(), dispense('10', 'd1')],
    OVER,
    ['issue.expired/1', 'issue.expired/1'],
    'stopped | dispensed expired',
  ],
  [
    'the refill expires',
    [issue({ refills: 2 }), claim(), dispense('30', 'd1')],
    OVER,
    ['issue.expired/1', 'issue.expired/1'],
    'stopped | dispensed expired expired',
  ],
  [
    'a pending cancel does not hold time up',
    [issue(), claim(), cancel()],
    OVER,
    ['issue.expired/1'],
    'stopped | expired',
  ],
  ['a dispensed order does not expire', [issue(), claim(), dispense('30', 'd1')], OVER, [], 'completed | dispensed'],
  ['a cancelled order does not expire', [issue(), cancel()], OVER, [], 'cancelled | cancelled'],
  ['twice', [issue(), timer(OVER)], OVER, [], 'stopped | expired'],
  [
    'history has no validity',
    [importOrder({ quantity: tablets('30') })],
    '2040-01-01T00:00:00.000Z',
    [],
    'active | ready',
  ],
  ['an order that has not arrived', [cancel()], OVER, [], 'no order'],
  [
    'US-15: schedule III after six months',
    [issue({ medication: med('3') })],
    '2026-07-16T04:00:00.000Z',
    ['issue.expired/1'],
    'stopped | expired',
  ],
];

describe('time', () => {
  it.each(ROWS)('%s', (_, before, at, types, state) => {
    const told = tell(given(...before), timer(at));
    expect(told).toMatchObject({ types });
    expect(inOneLine(told.story.rx)).toBe(state);
  });

  it.each<[string, Step[], string | null]>([
    ['the first fill day', [waiting], '2026-01-20T05:00:00.000Z'],
    ['the end of validity', [issue()], OVER],
    ['the end of validity, while claimed', [issue(), claim()], OVER],
    ['the end of validity in summer time', [issue({ medication: med('3') })], '2026-07-16T04:00:00.000Z'],
    ['nothing, once it is over', [issue(), cancel()], null],
    ['nothing for history', [importOrder({ quantity: tablets('30') })], null],
    ['nothing before the order arrives', [report('30', 'd1')], null],
  ])('waits for %s', (_, before, at) => {
    const { rx } = given(...before);
    expect(rx && nextTimer(rx)).toBe(at === null ? null : Date.parse(at));
  });

  it('changes the state at the instant that it waits for, and not a millisecond earlier', () => {
    for (const before of [[waiting], [issue({ refills: 1 })], [issue({ medication: med('4') }, DOCTOR)]]) {
      const story = given(...before);
      const at = story.rx ? (nextTimer(story.rx) ?? 0) : 0;
      expect(tell(story, timer(new Date(at - 1).toISOString()))).toMatchObject({ types: [] });
      expect(tell(story, timer(new Date(at).toISOString()))).not.toMatchObject({ types: [] });
    }
  });
});
