import { describe, expect, it } from 'vitest';
import { shapeOf } from '../database/declare.js';
import {
  cancel,
  claim,
  dispense,
  given,
  importOrder,
  issue,
  NOON,
  PATIENT,
  PHARMACY_B,
  release,
  report,
  type Step,
} from '../../test/support/domain.js';
import type { ChainModel } from '../ledger/model.js';
import { patientModel } from '../patient/chain-model.js';
import { orderName, prescriptionModel, supplyModel } from './chain-models.js';

const NUMBERS = { chain: 7, subject: 3 };
const at = Date.parse(NOON);

function rowsOf(...steps: Step[]) {
  const { rx } = given(...steps);
  if (!rx) throw new Error('no chain');
  return prescriptionModel.rows(rx, NUMBERS);
}

/** Whose data the chain holds, as far as its last event says. */
function saidBy(...steps: Step[]) {
  const { rx, events } = given(...steps);
  return rx && prescriptionModel.subject?.(rx, events.at(-1)!);
}

const READY = {
  chain: 7,
  patient: 3,
  issuer: 'practice',
  order_status: 'active',
  issue_status: 'ready',
  nominated: null,
  drug: '1',
  valid_until: '2027-01-15',
  timer_at: Date.parse('2027-01-16T05:00:00.000Z'),
  recorded_at: at,
};
const ORDERLESS = { order_status: null, issue_status: null, drug: null, valid_until: null, timer_at: null };

describe('read models', () => {
  it.each<[string, Step[], object]>([
    ['an order', [issue()], {}],
    ['a nomination', [issue({ nominatedPharmacy: 'pharmacy-a' })], { nominated: 'pharmacy-a' }],
    [
      'a future-dated order',
      [issue({ earliestFillOn: '2026-01-20' })],
      { issue_status: 'future', timer_at: Date.parse('2026-01-20T05:00:00.000Z') },
    ],
    [
      'the issue whose turn it is',
      [issue({ refills: 2 }), claim(), dispense('30', 'd1'), claim()],
      { issue_status: 'claimed' },
    ],
    [
      'the last issue of a completed order',
      [issue(), claim(), dispense('30', 'd1')],
      { order_status: 'completed', issue_status: 'dispensed', timer_at: null },
    ],
    ['an early cancel', [cancel()], ORDERLESS],
    ['an early report', [report('30', 'd1')], ORDERLESS],
    ['history', [importOrder()], { issue_status: null, valid_until: null, timer_at: null }],
  ])('%s', (_, steps, expected) => {
    expect(rowsOf(...steps)[0]).toEqual({ table: 'prescription_row', values: { ...READY, ...expected } });
  });

  it('custody: every pharmacy that holds, held or reported, from its first contact', () => {
    const later = '2026-01-16T17:00:00.000Z';
    const rows = rowsOf(issue(), claim(), release(), claim(PHARMACY_B, {}, later));
    expect(rows.slice(1)).toEqual([
      { table: 'custody', values: { chain: 7, org: 'pharmacy-a', since: at } },
      { table: 'custody', values: { chain: 7, org: 'pharmacy-b', since: Date.parse(later) } },
    ]);
  });

  it('an order is found by its issuer and number, from the first entry on', () => {
    for (const first of [issue(), cancel(), report('30', 'd1'), importOrder()]) {
      const { rx } = given(first);
      expect(rx && prescriptionModel.names(rx)).toEqual([{ domain: 'order', parts: ['practice', '1'] }]);
    }
    expect(orderName({ issuer: 'a', number: 'b' })).toEqual({ domain: 'order', parts: ['a', 'b'] });
  });

  it('a supply', () => {
    const reported = given(report('30', 'd1', { patient: PATIENT })).events[0];
    if (!reported) throw new Error('no event');
    const supply = supplyModel.evolve(null, { ...reported, kind: 'supply' });
    const values = { chain: 7, patient: 3, org: 'pharmacy-a', matched: null, recorded_at: at };
    expect(supplyModel.rows(supply, NUMBERS)).toEqual([{ table: 'supply_row', values }]);
    expect(supplyModel.rows({ ...supply, matchedTo: 'rx' }, NUMBERS)).toEqual([
      { table: 'supply_row', values: { ...values, matched: 'rx' } },
    ]);
    expect(supplyModel.names(supply)).toEqual([]);
  });

  it.each<[string, Pick<ChainModel, 'kind' | 'readModels'>]>([
    ['prescription', prescriptionModel],
    ['supply', supplyModel],
    ['patient', patientModel],
  ])('%s: a chain number leads every key', (kind, { kind: declared, readModels }) => {
    expect(declared).toBe(kind);
    for (const { columns, key } of readModels.map(shapeOf)) {
      expect(key[0]).toBe('chain');
      expect(columns.map(({ name }) => name)).toEqual(expect.arrayContaining([...key]));
    }
  });

  it('whose data a chain holds, each event says as far as it can', () => {
    const own = { subject: PATIENT };
    for (const known of [issue(), importOrder()]) expect(saidBy(known, cancel())).toEqual(own);
    expect(saidBy(cancel(), issue())).toEqual(own);
    expect(saidBy(cancel())).toBeNull();
    expect(saidBy(report('30', 'd1'))).toBeNull();
    expect(saidBy(report('30', 'd1', { patient: PATIENT }))).toEqual(own);
    // The chain stays its first subject's until the order arrives.
    expect(saidBy(cancel(), report('30', 'd1', { patient: PATIENT }))).toBeNull();

    const reported = given(report('30', 'd1', { patient: PATIENT })).events[0]!;
    const supply = supplyModel.evolve(null, { ...reported, kind: 'supply' });
    expect(supplyModel.subject?.(supply, reported)).toEqual(own);
    expect(supplyModel.subject?.({ ...supply, patient: null }, reported)).toBeNull();
    const matched = { ...supply, patient: null, matchedTo: 'rx' };
    expect(supplyModel.subject?.(matched, reported)).toEqual({ subjectOf: 'rx' });
  });

  it('a discrepancy gives away whose book its chain is in', () => {
    const event = { ...given(issue()).events[0]!, chain: PATIENT, data: { chain: 'supply' } };
    expect(patientModel.subjectOfOther?.({ ...event, type: 'discrepancy.opened/1' })).toEqual({
      chain: 'supply',
      subject: PATIENT,
    });
    expect(patientModel.subjectOfOther?.({ ...event, type: 'discrepancy.resolved/1' })).toBeNull();
  });

  it('every row has the columns that its table declares', () => {
    const rows = rowsOf(issue(), claim(), dispense('30', 'd1'));
    for (const { table, values } of rows) {
      const declared = prescriptionModel.readModels.map(shapeOf).find((shape) => shape.table === table);
      expect(Object.keys(values)).toEqual(declared?.columns.map(({ name }) => name));
    }
  });
});
