import { decideMatch } from './decide-afterwards.js';
import { describe, expect, it } from 'vitest';
import {
  claim,
  context,
  DOCTOR,
  given,
  issue,
  OTHER_PATIENT,
  PATIENT,
  PHARMACY_A,
  PHARMACY_B,
  report,
  THE_PATIENT,
} from '../../test/support/domain.js';
import type { Actor } from '../ledger/model.js';
import { evolveSupply } from '../prescription/evolve-supply.js';
import type { Prescription, Supply } from '../prescription/state.js';

const SUPPLY = '00000000-0000-4000-8000-000000000002';

function prescription(...steps: Parameters<typeof given>): Prescription {
  const { rx } = given(...steps);
  if (!rx) throw new Error('no prescription');
  return rx;
}
const held = prescription(issue(), claim());

/** What pharmacy A reported, of nobody known unless it says of whom. */
function supply(over: Partial<Supply> = {}): Supply {
  const [event] = given(report('30', 'd1')).events;
  if (!event) throw new Error('no report');
  return { ...evolveSupply(null, { ...event, kind: 'supply', chain: SUPPLY }), ...over };
}

describe('match', () => {
  it.each<[string, Supply, Prescription, Actor, string]>([
    ['by the pharmacy that reported the one and held the other', supply(), held, PHARMACY_A, 'supply.matched/1'],
    ['by the patient of both', supply({ patient: PATIENT }), held, THE_PATIENT, 'supply.matched/1'],
    [
      'by the nominated pharmacy',
      supply(),
      prescription(issue({ nominatedPharmacy: 'pharmacy-a' })),
      PHARMACY_A,
      'supply.matched/1',
    ],
    ['to an order that the pharmacy never held', supply(), prescription(issue()), PHARMACY_A, 'ledger.chain-unknown'],
    [
      'to an order that the pharmacy only reported on',
      supply(),
      prescription(issue(), report('30', 'd2')),
      PHARMACY_A,
      'ledger.chain-unknown',
    ],
    ['by another pharmacy', supply(), prescription(issue(), claim(PHARMACY_B)), PHARMACY_B, 'ledger.chain-unknown'],
    ['by a patient to whom it is not known to belong', supply(), held, THE_PATIENT, 'ledger.chain-unknown'],
    ['by another patient', supply({ patient: PATIENT }), held, OTHER_PATIENT, 'ledger.chain-unknown'],
    ['by the prescriber', supply(), held, DOCTOR, 'ledger.chain-unknown'],
    ['to an order that has not arrived', supply(), { ...held, order: null }, PHARMACY_A, 'ledger.chain-unknown'],
    ['twice', supply({ matchedTo: held.id }), held, PHARMACY_A, 'supply.already-matched'],
    ['across patients', supply({ patient: OTHER_PATIENT.patient }), held, PHARMACY_A, 'supply.other-patient'],
  ])('%s', (_, given_, rx, actor, then) => {
    const decision = decideMatch(given_, rx, { ...context(actor), chain: SUPPLY });
    expect('refusal' in decision ? decision.refusal.code : decision.events.map(({ type }) => type).join()).toBe(then);
  });

  it('says what it is matched to, on the supply’s chain', () => {
    expect(decideMatch(supply(), held, { ...context(PHARMACY_A), chain: SUPPLY })).toEqual({
      events: [{ chain: SUPPLY, type: 'supply.matched/1', data: { prescription: held.id }, derived: {} }],
    });
  });
});
