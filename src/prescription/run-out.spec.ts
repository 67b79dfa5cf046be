import { describe, expect, it } from 'vitest';
import { claim, dispense, given, issue, NOON, report, reverse, type Step } from '../../test/support/domain.js';
import { runOut } from './run-out.js';

const fill = (id: string, whenHandedOver: string, daysSupply = 30, value = '10') =>
  report(value, id, { whenHandedOver, daysSupply });
const OCTOBER = '2025-10-01T16:00:00.000Z';

describe('run-out', () => {
  it.each<[string, Step[], string, { date: string; daysLeft: number } | null]>([
    ['nothing handed over', [issue()], NOON, null],
    ['an order that has not arrived', [report('30', 'd1')], NOON, null],
    ['one fill, on its day', [issue(), claim(), dispense('30', 'd1')], NOON, { date: '2026-02-14', daysLeft: 30 }],
    [
      'one fill, on its last day',
      [issue(), claim(), dispense('30', 'd1')],
      '2026-02-14T04:59:00.000Z',
      { date: '2026-02-14', daysLeft: 1 },
    ],
    [
      'one fill, run out',
      [issue(), claim(), dispense('30', 'd1')],
      '2026-02-14T05:00:00.000Z',
      { date: '2026-02-14', daysLeft: 0 },
    ],
    [
      'one fill, long run out',
      [issue(), claim(), dispense('30', 'd1')],
      '2026-05-01T05:00:00.000Z',
      { date: '2026-02-14', daysLeft: 0 },
    ],
    ['reversed', [issue(), claim(), dispense('30', 'd1'), reverse('d1')], NOON, null],
    [
      'an early fill is carried over',
      [issue(), fill('d1', OCTOBER), fill('d2', '2025-10-21T16:00:00.000Z')],
      NOON,
      { date: '2025-11-30', daysLeft: 0 },
    ],
    [
      'a late fill leaves a gap',
      [issue(), fill('d1', OCTOBER), fill('d2', '2025-11-10T16:00:00.000Z')],
      NOON,
      { date: '2025-12-10', daysLeft: 0 },
    ],
    [
      'a fill on the day it runs out',
      [issue(), fill('d1', OCTOBER), fill('d2', '2025-10-31T16:00:00.000Z')],
      NOON,
      { date: '2025-11-30', daysLeft: 0 },
    ],
    [
      'two fills on one day stack',
      [issue(), fill('d1', OCTOBER, 10), fill('d2', OCTOBER, 20)],
      NOON,
      { date: '2025-10-31', daysLeft: 0 },
    ],
    [
      'whatever order they were recorded in',
      [issue(), fill('d2', '2025-11-10T16:00:00.000Z'), fill('d1', OCTOBER)],
      NOON,
      { date: '2025-12-10', daysLeft: 0 },
    ],
    [
      'late in the evening it is still that day in the zone',
      [issue(), fill('d1', '2025-10-02T03:30:00.000Z')],
      NOON,
      { date: '2025-10-31', daysLeft: 0 },
    ],
  ])('%s', (_, before, now, then) => {
    const { rx } = given(...before);
    expect(rx && runOut(rx, Date.parse(now))).toEqual(then);
  });
});
