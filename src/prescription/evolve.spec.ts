import type { LedgerEvent } from '../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import {
  cancel,
  CHAIN,
  claim,
  closeNotDispensed,
  dispense,
  DOCTOR,
  given,
  importOrder,
  issue,
  NOON,
  PATIENT,
  release,
  report,
  reverse,
  type Step,
  timer,
} from '../../test/support/domain.js';
import { evolvePrescription } from './evolve.js';
import { evolveSupply, KEPT_DOSES } from './evolve-supply.js';

function event(type: string, data: LedgerEvent['data'] = {}, seq = 0): LedgerEvent {
  const { id, role, org } = DOCTOR;
  const at = { occurredAt: NOON, recordedAt: NOON };
  return { kind: 'prescription', chain: CHAIN, seq, type, data, derived: {}, actor: { id, role, org }, ...at };
}
const dose = (seq: number) =>
  event('dose.taken/1', { doseId: `x${seq}`, at: NOON, quantity: null, patient: PATIENT, medication: null }, seq);

describe('evolve', () => {
  it.each(['order.issued/2', 'supply.matched/1', 'patient.enrolled/1', 'toString', ''])(
    'a prescription chain has no "%s"',
    (type) => {
      expect(() => evolvePrescription(given(issue()).rx, event(type))).toThrow('a prescription chain has no events');
    },
  );
  it.each(['order.issued/1', 'supply.matched/2'])('a supply chain has no "%s"', (type) => {
    expect(() => evolveSupply(null, event(type))).toThrow('a supply chain has no events');
  });
  it.each(['dispense.claimed/1', 'issue.readied/1', 'dose.taken/1', 'order.cancelled/1'])(
    'no prescription chain begins with %s',
    (type) => {
      expect(() => evolvePrescription(null, event(type))).toThrow('cannot open a prescription chain');
    },
  );
  it('no order is cancelled that nobody has asked to cancel', () => {
    const cancelled = event('order.cancelled/1');
    expect(() => evolvePrescription(given(issue()).rx, cancelled)).toThrow('nobody has asked');
    expect(evolvePrescription(given(issue(), claim(), cancel()).rx, cancelled)).toMatchObject({ status: 'cancelled' });
  });
  it('no prescription chain begins with a report that names no order', () => {
    expect(() => evolvePrescription(null, event('dispense.reported/1', { order: null }))).toThrow('names no order');
  });

  it('an issue that was partly filled waits while the one before it is open again, and ends as dispensed', () => {
    const begun = [
      issue({ refills: 1 }),
      claim(),
      dispense('30', 'd0'),
      claim(),
      dispense('10', 'd1'),
      release(),
      reverse('d0'),
    ];
    const statuses = (...more: Step[]) =>
      given(...begun, ...more)
        .rx?.issues.slice(0, 2)
        .map(({ status }) => status);
    expect(statuses()).toEqual(['claimed', 'future']);
    expect(statuses(dispense('30', 'd2'))).toEqual(['dispensed', 'ready']);
    expect(statuses(closeNotDispensed())).toEqual(['not-dispensed', 'ready']);
    expect(statuses(cancel(), closeNotDispensed())).toEqual(['not-dispensed', 'dispensed']);
    expect(statuses(timer('2028-01-01T00:00:00.000Z'))).toEqual(['expired', 'dispensed']);
  });

  it('keeps the latest doses only', () => {
    const doses = Array.from({ length: KEPT_DOSES + 2 }, (_, index) => dose(index + 1));
    const rx = doses.reduce(evolvePrescription, given(issue()).rx);
    expect([rx?.doses.length, rx?.doses[0]?.doseId, rx?.doses.at(-1)?.doseId]).toEqual([400, 'x3', 'x402']);
    const supply = doses.reduce(evolveSupply, null);
    expect([supply?.doses.length, supply?.doses[0]?.doseId]).toEqual([400, 'x3']);
  });

  it('an order keeps who wrote it and what the server decided', () => {
    expect(given(issue({ refills: 1, nominatedPharmacy: 'pharmacy-a', note: 'n' })).rx).toMatchObject({
      id: CHAIN,
      name: { issuer: 'practice', number: '1' },
      recordedAt: NOON,
      order: {
        historical: false,
        prescriber: { id: 'doctor', org: 'practice' },
        patient: PATIENT,
        validUntil: '2027-01-15',
        ruleSet: 'us-federal',
        tokenGeneration: 1,
        tokenHash: 'token',
        nominatedPharmacy: 'pharmacy-a',
        note: 'n',
      },
      cancel: null,
      refillHolder: null,
    });
  });

  it('history belongs to its issuer and has neither token nor validity', () => {
    expect(given(importOrder()).rx?.order).toMatchObject({
      historical: true,
      prescriber: { id: 'import', org: 'practice' },
      writtenOn: '2019-03-04',
      validUntil: null,
      ruleSet: null,
      tokenHash: null,
    });
    expect(given(importOrder({ authoredOn: '2019' })).rx?.order?.writtenOn).toBeNull();
  });

  it('a cancel keeps who asked, and how far it got', () => {
    const requested = { by: { id: 'doctor', org: 'practice' }, reason: 'clinical-change', recordedAt: NOON };
    expect(given(cancel()).rx?.cancel).toEqual({ ...requested, effect: 'held' });
    expect(given(issue(), claim(), cancel()).rx?.cancel).toEqual({ ...requested, effect: 'pending' });
    expect(given(issue(), claim(), cancel(), release()).rx?.cancel).toEqual({ ...requested, effect: 'applied' });
    expect(given(issue(), cancel()).rx?.cancel).toEqual({ ...requested, effect: 'applied' });
  });

  it('a pharmacy is a custodian from its first contact, once', () => {
    const later = claim(undefined, {}, '2026-01-16T17:00:00.000Z');
    expect(given(issue(), claim(), release(), later, report('1', 'd9')).rx?.pharmacies).toEqual([
      { org: 'pharmacy-a', since: NOON },
    ]);
  });

  it('a supply keeps what it was said to be for, and what it was matched to', () => {
    const reported = given(report('30', 'd1', { patient: PATIENT })).events[0];
    if (!reported) throw new Error('no event');
    const supply = evolveSupply(null, { ...reported, kind: 'supply' });
    expect(supply).toMatchObject({
      recordedAt: NOON,
      patient: PATIENT,
      claimedOrder: { issuer: 'practice', number: '1' },
      pharmacy: 'pharmacy-a',
      dispenses: [{ dispenseId: 'd1', reported: true }],
      matchedTo: null,
    });
    expect(evolveSupply(supply, event('supply.matched/1', { prescription: CHAIN }, 1)).matchedTo).toBe(CHAIN);
    const corrected = { doseId: 'x2', outcome: 'skipped', at: NOON, quantity: null, reason: 'other' };
    const dosed = [dose(2), dose(3), event('dose.corrected/1', corrected, 4)].reduce(evolveSupply, supply);
    expect(dosed.doses.map(({ doseId, outcome }) => [doseId, outcome])).toEqual([
      ['x2', 'skipped'],
      ['x3', 'taken'],
    ]);
  });
});
