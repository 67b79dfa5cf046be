import { describe, expect, it } from 'vitest';
import {
  AUDITOR,
  cancel,
  committed,
  context,
  given,
  importOrder,
  issue,
  med,
  NOON,
  OTHER_PATIENT,
  PATIENT,
  PHARMACY_A,
  type Step,
  tablets,
  THE_PATIENT,
} from '../../test/support/domain.js';
import type { Actor, Decision } from '../ledger/model.js';
import { evolvePrescription } from '../prescription/evolve.js';
import { evolveSupply } from '../prescription/evolve-supply.js';
import type { Supply } from '../prescription/state.js';
import {
  type CorrectDose,
  decideDoseCorrected,
  decideDoseSkipped,
  decideDoseTaken,
  type DoseChain,
  type SkipDose,
  type TakeDose,
} from './decide.js';

const TAKEN: TakeDose = { doseId: 'x1', at: NOON, quantity: tablets('1'), medication: null };
const SKIPPED: SkipDose = { doseId: 'x1', at: NOON, reason: 'forgot', medication: null };
const CORRECTED: CorrectDose = { doseId: 'x1', outcome: 'skipped', at: NOON, quantity: null, reason: 'wrong-outcome' };

const take =
  (by: Actor = THE_PATIENT, over: Partial<TakeDose> = {}) =>
  (chain: DoseChain) =>
    decideDoseTaken(chain, { ...TAKEN, ...over }, context(by));
const skip =
  (by: Actor = THE_PATIENT, over: Partial<SkipDose> = {}) =>
  (chain: DoseChain) =>
    decideDoseSkipped(chain, { ...SKIPPED, ...over }, context(by));
const correct =
  (by: Actor = THE_PATIENT, over: Partial<CorrectDose> = {}) =>
  (chain: DoseChain) =>
    decideDoseCorrected(chain, { ...CORRECTED, ...over }, context(by));

const dose = (over: Partial<TakeDose> = {}): Step => ({
  by: THE_PATIENT,
  at: null,
  decide: (rx, ctx) => decideDoseTaken(rx, { ...TAKEN, ...over }, ctx),
});

function supply(decision: Decision, by: Actor = THE_PATIENT): Supply {
  if ('refusal' in decision) throw new Error(decision.refusal.code);
  const state = decision.events.map((event, seq) => committed(event, seq, by, NOON)).reduce(evolveSupply, null);
  if (!state) throw new Error('no event');
  return state;
}
const ownSupply = supply(take(THE_PATIENT, { medication: med('13') })(null));

const ordered = given(issue()).rx;
const dosed = given(issue(), dose()).rx;
const LATER = '2026-01-15T17:02:00.000Z';

describe('doses', () => {
  it.each<[string, DoseChain, (chain: DoseChain) => Decision, string]>([
    ['taken', ordered, take(), 'dose.taken/1'],
    ['taken, amount not said', ordered, take(THE_PATIENT, { quantity: null }), 'dose.taken/1'],
    ['taken of a cancelled order', given(issue(), cancel()).rx, take(), 'dose.taken/1'],
    ['taken of history', given(importOrder()).rx, take(), 'dose.taken/1'],
    ['taken without a prescription', null, take(), 'dose.taken/1'],
    ['taken again without a prescription', ownSupply, take(THE_PATIENT, { doseId: 'x2' }), 'dose.taken/1'],
    ['skipped', ordered, skip(), 'dose.skipped/1'],
    ['skipped without a prescription', null, skip(), 'dose.skipped/1'],
    ['corrected', dosed, correct(), 'dose.corrected/1'],
    ['corrected on a supply chain', ownSupply, correct(), 'dose.corrected/1'],

    ['taken, by another patient', ordered, take(OTHER_PATIENT), 'ledger.chain-unknown'],
    ['taken, by another patient, on a supply chain', ownSupply, take(OTHER_PATIENT), 'ledger.chain-unknown'],
    ['taken, by the pharmacy', ordered, take(PHARMACY_A), 'ledger.chain-unknown'],
    [
      'taken, by an auditor with the same patient',
      ordered,
      take({ ...AUDITOR, patient: PATIENT }),
      'ledger.chain-unknown',
    ],
    ['taken of an order that has not arrived', given(cancel()).rx, take(), 'ledger.chain-unknown'],
    ['taken, twice', dosed, take(), 'dose.duplicate'],
    ['taken, in the future', ordered, take(THE_PATIENT, { at: LATER }), 'dose.in-future'],
    ['taken, no amount', ordered, take(THE_PATIENT, { quantity: tablets('0') }), 'quantity.invalid'],
    ['skipped, by another patient', ordered, skip(OTHER_PATIENT), 'ledger.chain-unknown'],
    ['skipped, twice', dosed, skip(), 'dose.duplicate'],
    ['skipped, in the future', ordered, skip(THE_PATIENT, { at: LATER }), 'dose.in-future'],
    ['corrected, by another patient', dosed, correct(OTHER_PATIENT), 'ledger.chain-unknown'],
    ['corrected, not there', ordered, correct(), 'dose.unknown'],
    ['corrected, to the future', dosed, correct(THE_PATIENT, { at: LATER }), 'dose.in-future'],
    ['corrected, to no amount', dosed, correct(THE_PATIENT, { quantity: tablets('x') }), 'quantity.invalid'],
    ['corrected, where there is no chain', null, correct(), 'dose.unknown'],
  ])('%s', (_, chain, when, then) => {
    const decision = when(chain);
    expect('refusal' in decision ? decision.refusal.code : decision.events[0]?.type).toBe(then);
  });

  it('happened when the patient says', () => {
    const at = '2026-01-14T08:00:00.000Z';
    expect(take(THE_PATIENT, { at })(ordered)).toMatchObject({
      events: [{ occurredAt: at, data: { at, patient: PATIENT } }],
    });
  });

  it('a correction changes what is shown, not what was recorded', () => {
    const decision = correct(THE_PATIENT, { outcome: 'entered-in-error' })(dosed);
    if ('refusal' in decision) throw new Error(decision.refusal.code);
    const state = decision.events
      .map((event) => committed(event, 2, THE_PATIENT, NOON))
      .reduce(evolvePrescription, dosed);
    expect(state?.doses).toEqual([{ doseId: 'x1', outcome: 'entered-in-error', at: NOON, quantity: null, seq: 1 }]);
    expect(dosed?.doses).toMatchObject([{ outcome: 'taken' }]);
  });

  it('a supply chain keeps what was taken', () => {
    expect(ownSupply).toMatchObject({
      patient: PATIENT,
      pharmacy: null,
      doses: [{ doseId: 'x1', medication: { code: '13' } }],
    });
  });
});
