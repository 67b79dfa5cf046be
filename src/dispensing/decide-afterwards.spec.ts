import { describe, expect, it } from 'vitest';
import {
  cancel,
  claim,
  closeNotDispensed,
  dispense,
  DOCTOR,
  given,
  importOrder,
  issue,
  outcomeOf,
  PHARMACY_A,
  PHARMACY_B,
  release,
  report,
  reverse,
  type Row,
  tell,
  THE_PATIENT,
  timer,
} from '../../test/support/domain.js';
import { MOST_REPORTS } from './decide-afterwards.js';

const AFTER_VALIDITY = '2027-01-16T12:00:00.000Z';
const filled = [issue(), claim(), dispense('30', 'd1')];
const filledOnce = [issue({ refills: 1 }), claim(), dispense('30', 'd1')];
const sharedFill = [
  issue(),
  claim(),
  dispense('10', 'd1'),
  release(),
  claim(PHARMACY_B),
  dispense('20', 'd2', {}, PHARMACY_B),
];

const REVERSALS: Row[] = [
  ['the only fill: the order is active again', filled, reverse('d1'), 'active | claimed@pharmacy-a'],
  ['a fill with a refill behind it', filledOnce, reverse('d1'), 'active | claimed@pharmacy-a future'],
  [
    'one of two parts of a complete fill',
    [issue(), claim(), dispense('10', 'd1'), dispense('20', 'd2')],
    reverse('d1'),
    'active | part-dispensed@pharmacy-a',
  ],
  [
    'the only part, while it is held',
    [issue(), claim(), dispense('10', 'd1')],
    reverse('d1'),
    'active | claimed@pharmacy-a',
  ],
  [
    'one of two parts, while it is held',
    [issue(), claim(), dispense('10', 'd1'), dispense('10', 'd2')],
    reverse('d1'),
    'active | part-dispensed@pharmacy-a',
  ],
  [
    'a part that was released since stays released',
    [issue(), claim(), dispense('10', 'd1'), release()],
    reverse('d1'),
    'active | ready',
  ],
  [
    'a part, while another pharmacy holds the remainder',
    [issue(), claim(), dispense('10', 'd1'), release(), claim(PHARMACY_B)],
    reverse('d1'),
    'active | claimed@pharmacy-b',
  ],
  [
    'a part that another pharmacy completed: with its own claim',
    sharedFill,
    reverse('d1'),
    'active | part-dispensed@pharmacy-a',
  ],
  [
    'a remainder that was given up',
    [issue(), claim(), dispense('10', 'd1'), closeNotDispensed()],
    reverse('d1'),
    'active | claimed@pharmacy-a',
  ],
  ['after its time: the issue expires', filled, reverse('d1', PHARMACY_A, AFTER_VALIDITY), 'stopped | expired'],
  [
    'after its time: with the refill',
    filledOnce,
    reverse('d1', PHARMACY_A, AFTER_VALIDITY),
    'stopped | expired expired',
  ],
  [
    'of an order that stopped since',
    [...filledOnce, timer(AFTER_VALIDITY)],
    reverse('d1'),
    'stopped | expired expired',
  ],
  ['of an order that was cancelled since', [...filledOnce, cancel()], reverse('d1'), 'cancelled | cancelled cancelled'],
  [
    'when a cancel came too late: it is applied',
    [issue(), claim(), cancel(), dispense('30', 'd1')],
    reverse('d1'),
    'cancelled | cancelled',
  ],
  [
    'a part, while a cancel is pending: the claim goes on',
    [issue(), claim(), cancel(), dispense('10', 'd1')],
    reverse('d1'),
    'active | claimed@pharmacy-a',
  ],
  ['a report', [issue(), report('30', 'd1')], reverse('d1'), 'active | ready'],
  ['a report of an order that is not known', [report('30', 'd1')], reverse('d1'), 'no order'],
  [
    'after a refill that was closed without a dispense',
    [...filledOnce, claim(), closeNotDispensed()],
    reverse('d1'),
    'active | claimed@pharmacy-a not-dispensed',
  ],

  [
    'when the refill is dispensed',
    [...filledOnce, claim(), dispense('30', 'd2')],
    reverse('d1'),
    'dispense.later-issue',
  ],
  ['when the refill is claimed', [...filledOnce, claim()], reverse('d1'), 'dispense.later-issue'],
  ['twice', [...filled, reverse('d1')], reverse('d1'), 'dispense.already-reversed'],
  ['of an id that is not there', filled, reverse('d9'), 'dispense.unknown'],
  ['by another pharmacy that handed over', sharedFill, reverse('d2'), 'dispense.other-pharmacy'],
  ['by a pharmacy without a relation', filled, reverse('d1', PHARMACY_B), 'ledger.chain-unknown'],
  ['by the prescriber', filled, reverse('d1', DOCTOR), 'access.forbidden'],
];

const REPORTS: Row[] = [
  ['of an order that is ready changes no issue', [issue()], report('30', 'd1'), 'active | ready'],
  ['of an order that is not known', [], report('30', 'd1'), 'no order'],
  ['of history', [importOrder()], report('30', 'd1'), 'active'],
  ['of a cancelled order', [issue(), cancel()], report('30', 'd1'), 'cancelled | cancelled'],
  ['of an expired order', [issue(), timer(AFTER_VALIDITY)], report('30', 'd1'), 'stopped | expired'],
  ['of more than was authorised', [issue()], report('3000', 'd1'), 'active | ready'],
  ['in another unit', [issue()], report('1', 'd1', { quantity: { value: '5', unit: 'mL' } }), 'active | ready'],
  [
    'while another pharmacy holds it',
    [issue(), claim()],
    report('30', 'd1', {}, PHARMACY_B),
    'active | claimed@pharmacy-a',
  ],
  [
    'of long ago, of no issue',
    [issue()],
    report('30', 'd1', { whenHandedOver: '2019-01-01T00:00:00.000Z', issue: null }),
    'active | ready',
  ],
  ['with an id that was used', [issue(), report('30', 'd1')], report('30', 'd1'), 'dispense.duplicate'],
  ['with an id that a dispense has', filled, report('30', 'd1'), 'dispense.duplicate'],
  [
    'of something that has not happened',
    [issue()],
    report('30', 'd1', { whenHandedOver: '2026-01-16T17:00:00.000Z' }),
    'dispense.in-future',
  ],
  ['of nothing', [issue()], report('0', 'd1'), 'quantity.invalid'],
  ['by the patient', [issue()], report('30', 'd1', {}, THE_PATIENT), 'access.forbidden'],
];

describe('afterwards', () => {
  it.each(REVERSALS)('reverse: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });
  it.each(REPORTS)('report: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });

  it('a reversed fill gives the claim back under which it was dispensed, and its secret', () => {
    const before = given(issue(), claim());
    const after = tell(tell(before, dispense('30', 'd1')).story, reverse('d1')).story;
    expect(after.rx?.issues[0]?.claim).toEqual(before.rx?.issues[0]?.claim);
    expect(tell(after, dispense('30', 'd2', { secretHash: 'secret-ann-0' })).refusal).toBeNull();
  });

  it('a reversed dispense stays in the record', () => {
    const { rx } = given(...filled, reverse('d1'));
    expect(rx?.dispenses).toMatchObject([{ dispenseId: 'd1', reversed: true, pharmacy: 'pharmacy-a' }]);
  });

  it('the refills go where the last standing dispense was', () => {
    expect(given(...sharedFill).rx?.refillHolder).toBe('pharmacy-b');
    expect(given(...sharedFill, reverse('d2', PHARMACY_B)).rx?.refillHolder).toBe('pharmacy-a');
    expect(given(...filled, reverse('d1')).rx?.refillHolder).toBeNull();
  });

  it('a cancel that came too late is applied because the dispense was reversed', () => {
    const { events, rx } = given(issue(), claim(), cancel(), dispense('30', 'd1'), reverse('d1'));
    expect(events.at(-1)).toMatchObject({ type: 'order.cancelled/1', derived: { cause: 'dispense-reversed' } });
    expect(rx?.cancel?.effect).toBe('applied');
  });

  it('a pharmacy that only reported may take back its own report, and sees nothing else', () => {
    const story = given(...filled, report('30', 'd9', {}, PHARMACY_B));
    expect(tell(story, reverse('d9', PHARMACY_B)).refusal).toBeNull();
    for (const other of ['d1', 'nothing']) {
      expect(tell(story, reverse(other, PHARMACY_B)).refusal?.code).toBe('ledger.chain-unknown');
    }
  });

  it('of the reports of one pharmacy there is an end, whoever else reports', () => {
    const reports = Array.from({ length: MOST_REPORTS }, (_, n) => report('1', `d${n}`, {}, PHARMACY_B));
    const full = given(issue(), ...reports, reverse('d0', PHARMACY_B));
    expect(tell(full, report('1', 'more', {}, PHARMACY_B)).refusal).toEqual({
      code: 'dispense.too-many-reports',
      facts: { most: MOST_REPORTS },
    });
    expect(tell(full, report('1', 'd1', {}, PHARMACY_B)).refusal?.code).toBe('dispense.duplicate');
    expect(tell(full, report('1', 'theirs')).refusal).toBeNull();
    expect(tell(full, claim()).refusal).toBeNull();
  });

  it('a report keeps what the pharmacy said, and gives it nothing to hold', () => {
    const { rx, events } = given(report('30', 'd1', { reason: 'emergency-supply' }, PHARMACY_B));
    expect(rx?.name).toEqual({ issuer: 'practice', number: '1' });
    expect(rx?.pharmacies).toEqual([]);
    expect(rx?.dispenses).toMatchObject([{ dispenseId: 'd1', reported: true, claim: null, pharmacy: 'pharmacy-b' }]);
    expect(events[0]).toMatchObject({ data: { reason: 'emergency-supply' }, derived: { pharmacy: 'pharmacy-b' } });
  });
});
