import { describe, expect, it } from 'vitest';
import {
  CHAIN,
  cancel,
  claim,
  closeNotDispensed,
  context,
  dispense,
  DOCTOR,
  given,
  importOrder,
  issue,
  med,
  NOTHING_YET,
  order,
  OTHER_DOCTOR,
  outcomeOf,
  PHARMACY_A,
  release,
  report,
  type Row,
  tablets,
  tell,
  timer,
} from '../../test/support/domain.js';
import { decideIssue } from './decide.js';

const ROWS: Row[] = [
  ['an order that is ready', [], issue(), 'active | ready'],
  ['refills wait for the fill before them', [], issue({ refills: 2 }), 'active | ready future future'],
  ['future-dated', [], issue({ earliestFillOn: '2026-01-16' }), 'active | future'],
  ['earliest today is ready', [], issue({ earliestFillOn: '2026-01-15' }), 'active | ready'],
  ['a drug that the formulary does not know', [], issue({ medication: med('999') }), 'active | ready'],
  [
    'US-01: a schedule II drug has no refills',
    [],
    issue({ medication: med('2'), refills: 1 }),
    'prescription.too-many-refills',
  ],
  ['US-01: a schedule II drug without refills', [], issue({ medication: med('2') }), 'active | ready'],
  [
    'US-17: five refills of schedule IV',
    [],
    issue({ medication: med('4'), refills: 5 }),
    'active | ready future future future future future',
  ],
  [
    'US-17: six refills of schedule IV',
    [],
    issue({ medication: med('4'), refills: 6 }),
    'prescription.too-many-refills',
  ],
  [
    'US-17: six refills of schedule III',
    [],
    issue({ medication: med('3'), refills: 6 }),
    'prescription.too-many-refills',
  ],
  [
    'US-19: eleven refills of schedule V',
    [],
    issue({ medication: med('5'), refills: 11 }),
    `active | ready${' future'.repeat(11)}`,
  ],
  ['US-32: dated yesterday', [], issue({ writtenOn: '2026-01-14' }), 'prescription.not-dated-today'],
  ['US-32: dated tomorrow', [], issue({ writtenOn: '2026-01-16' }), 'prescription.not-dated-today'],
  [
    'US-32: late evening in the zone is still today, next day in UTC',
    [],
    issue({}, DOCTOR, '2026-01-16T04:59:59.999Z'),
    'active | ready',
  ],
  [
    'US-32: midnight in the zone is another day',
    [],
    issue({}, DOCTOR, '2026-01-16T05:00:00.000Z'),
    'prescription.not-dated-today',
  ],
  ['US-31: without directions', [], issue({ directions: '  ' }), 'prescription.incomplete'],
  ['an amount of nothing', [], issue({ quantity: tablets('0') }), 'quantity.invalid'],
  ['an amount that is no decimal', [], issue({ quantity: tablets('3e1') }), 'quantity.invalid'],
  ['to be filled after its validity', [], issue({ earliestFillOn: '2027-01-16' }), 'prescription.never-fillable'],
  ['to be filled on its last day', [], issue({ earliestFillOn: '2027-01-15' }), 'active | future'],
  ['EPS-19: the same number again', [issue()], issue(), 'prescription.number-taken'],
  ['a number that was imported', [importOrder()], issue(), 'prescription.number-taken'],
  ['by somebody who is no prescriber', [], issue({}, PHARMACY_A), 'access.forbidden'],
  ['in the name of another practice', [], issue({}, OTHER_DOCTOR), 'access.forbidden'],
  ['EPS-12: arrives after its cancel', [cancel()], issue({ refills: 1 }), 'cancelled | cancelled cancelled'],
  ['arrives after an early report', [report('30', 'd1')], issue(), 'active | ready'],

  ['history without a quantity', [], importOrder(), 'active'],
  ['history with a quantity', [], importOrder({ quantity: tablets('30'), refills: 1 }), 'active | ready future'],
  ['history that is over', [], importOrder({ sourceStatus: 'completed', quantity: tablets('30') }), 'completed'],
  ['history of a stopped order', [], importOrder({ sourceStatus: 'stopped' }), 'stopped'],
  ['history of a draft is no offer', [], importOrder({ sourceStatus: 'draft', quantity: tablets('30') }), 'on-hold'],
  ['history of a status that FHIR does not have', [], importOrder({ sourceStatus: 'ended' }), 'on-hold'],
  ['history that its cancel waits for', [cancel()], importOrder(), 'cancelled'],
  ['history of a number that is known', [issue()], importOrder(), 'prescription.number-taken'],
  ['history with a broken amount', [], importOrder({ quantity: tablets('-1') }), 'quantity.invalid'],
  ['history brought by a prescriber', [], importOrder({}, DOCTOR), 'access.forbidden'],

  ['EPS-07: cancel while ready', [issue({ refills: 1 })], cancel(), 'cancelled | cancelled cancelled'],
  ['cancel while future-dated', [issue({ earliestFillOn: '2026-02-01' })], cancel(), 'cancelled | cancelled'],
  ['EPS-08: cancel while claimed is pending', [issue(), claim()], cancel(), 'active | claimed@pharmacy-a'],
  [
    'EPS-09: cancel while part-dispensed is pending',
    [issue(), claim(), dispense('10', 'd1')],
    cancel(),
    'active | part-dispensed@pharmacy-a',
  ],
  [
    'cancel between two fills takes the refills',
    [issue({ refills: 1 }), claim(), dispense('30', 'd1')],
    cancel(),
    'cancelled | dispensed cancelled',
  ],
  [
    'cancel of a remainder that was given back',
    [issue(), claim(), dispense('10', 'd1'), release()],
    cancel(),
    'cancelled | dispensed',
  ],
  ['EPS-10: cancel when dispensed', [issue(), claim(), dispense('30', 'd1')], cancel(), 'cancel.dispensed'],
  ['EPS-10: cancel when expired', [issue(), timer('2027-01-16T12:00:00.000Z')], cancel(), 'cancel.expired'],
  [
    'EPS-10: cancel when its time is over and no timer said so yet',
    [issue()],
    cancel({}, DOCTOR, '2027-01-16T12:00:00.000Z'),
    'cancel.expired',
  ],
  ['EPS-10: cancel twice', [issue(), cancel()], cancel(), 'cancel.already-cancelled'],
  ['EPS-10: cancel when not dispensed', [issue(), claim(), closeNotDispensed()], cancel(), 'cancel.not-dispensed'],
  ['EPS-11: cancel while another cancel is pending', [issue(), claim(), cancel()], cancel(), 'cancel.already-pending'],
  [
    'cancel of what was entered in error',
    [importOrder({ sourceStatus: 'entered-in-error' })],
    cancel(),
    'cancel.not-active',
  ],
  ['EPS-12: cancel of an order that is not known', [], cancel(), 'no order'],
  ['EPS-12: and again', [cancel()], cancel(), 'cancel.already-pending'],
  ['EPS-12: cancel of an order that only a report names', [report('30', 'd1')], cancel(), 'no order'],
  ['cancel by another practice: as if it did not exist', [issue()], cancel({}, OTHER_DOCTOR), 'ledger.chain-unknown'],
  [
    'cancel by a made-up name does not reach the order',
    [issue()],
    cancel({ name: { issuer: 'other-practice', number: '1' } }, OTHER_DOCTOR),
    'ledger.chain-unknown',
  ],
  ['ERP-12: cancel by a pharmacy', [issue()], cancel({}, PHARMACY_A), 'access.forbidden'],
];

describe('prescribing', () => {
  it.each(ROWS)('%s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });

  it.each([
    ['medication', { medication: null }],
    ['medication', { medication: { ...med('1'), display: '' } }],
    ['directions', { directions: null }],
    ['quantity', { quantity: null }],
    ['daysSupply', { daysSupply: null }],
    ['writtenOn', { writtenOn: null }],
  ])('US-31: names the missing %s', (field, over) => {
    expect(tell(NOTHING_YET, issue(over)).refusal?.facts).toEqual({ missing: [field] });
  });

  it('US-31: names every missing field', () => {
    const told = tell(
      NOTHING_YET,
      issue({ medication: null, directions: null, quantity: null, daysSupply: null, writtenOn: null }),
    );
    expect(told.refusal?.facts).toEqual({
      missing: ['medication', 'directions', 'quantity', 'daysSupply', 'writtenOn'],
    });
  });

  it.each([
    ['US-14, US-15: schedule III, six months', '3', '2026-01-01T17:00:00.000Z', '2026-01-01', '2026-07-01'],
    [
      'US-18: schedule III, clamped to the end of February',
      '3',
      '2026-08-31T17:00:00.000Z',
      '2026-08-31',
      '2027-02-28',
    ],
    ['schedule IV, six months', '4', '2026-01-15T17:00:00.000Z', '2026-01-15', '2026-07-15'],
    ['US-19: schedule V has no federal limit', '5', '2026-01-15T17:00:00.000Z', '2026-01-15', '2027-01-15'],
    ['schedule II has no federal limit', '2', '2026-01-15T17:00:00.000Z', '2026-01-15', '2027-01-15'],
    ['not controlled, the setting', '1', '2026-01-15T17:00:00.000Z', '2026-01-15', '2027-01-15'],
    ['not controlled, from a leap day', '1', '2028-02-29T17:00:00.000Z', '2028-02-29', '2029-02-28'],
  ])('%s', (_, code, at, writtenOn, validUntil) => {
    expect(given(issue({ medication: med(code), writtenOn }, DOCTOR, at)).rx?.order?.validUntil).toBe(validUntil);
  });

  it('writes what the server decided into the event', () => {
    expect(decideIssue(null, order({ medication: med('3') }), context(DOCTOR))).toMatchObject({
      events: [
        {
          chain: CHAIN,
          type: 'order.issued/1',
          derived: {
            zone: 'America/New_York',
            schedule: 'III',
            ingredient: 'ketamine',
            validUntil: '2026-07-15',
            ruleSet: 'us-federal',
            ruleSetVersion: '1',
            formularyVersion: 'test',
            tokenGeneration: 1,
            tokenHash: 'token',
          },
        },
      ],
    });
  });

  it('knows no schedule for a code of another system', () => {
    const medication = { ...med('2'), system: 'http://hl7.org/fhir/sid/ndc' };
    expect(given(issue({ medication, refills: 1 })).rx?.order).toMatchObject({ schedule: null, ingredient: null });
  });

  it.each([
    ['held', cancel(), []],
    ['pending', cancel(), [issue(), claim()]],
    ['cancelled', cancel(), [issue()]],
  ] as const)('EPS-08, EPS-12: says that a cancel is %s', (effect, step, before) => {
    const { events } = tell(given(...before), step).story;
    expect(events.at(-1)).toMatchObject({ type: 'order.cancel-requested/1', derived: { effect } });
  });

  it('EPS-12: a cancel that waited is recorded as applied when the order arrives', () => {
    const { rx, events } = given(cancel({ reason: 'duplicate' }), issue());
    expect(events.map(({ type }) => type)).toEqual(['order.cancel-requested/1', 'order.issued/1', 'order.cancelled/1']);
    expect(events.at(-1)?.derived).toEqual({ cause: 'arrived' });
    expect(rx?.cancel).toMatchObject({ effect: 'applied', reason: 'duplicate', by: { id: 'doctor', org: 'practice' } });
  });
});
