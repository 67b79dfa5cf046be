/** Small books for tests. */
import type { Quantity } from '../../src/prescription/events.js';
import type { Dispense, Prescription, Supply } from '../../src/prescription/state.js';
import type { Book } from '../../src/reconciliation/book.js';

export const PATIENT = '0b6c4a7e-0000-4000-8000-000000000001';
export const PRACTICE = '0b6c4a7e-0000-4000-8000-00000000000a';
export const PHARMACY = '0b6c4a7e-0000-4000-8000-00000000000b';
export const OTHER_PHARMACY = '0b6c4a7e-0000-4000-8000-00000000000c';
export const RX = '0b6c4a7e-0000-4000-8000-000000000100';

const LISINOPRIL = {
  system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  code: '314076',
  display: 'lisinopril 10 MG',
};

export function tablets(value: string): Quantity {
  return { value, unit: '{tablet}' };
}

export function dispense(dispenseId: string, change: Partial<Dispense> = {}): Dispense {
  return {
    dispenseId,
    issue: 0,
    pharmacy: PHARMACY,
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: '2026-03-02T15:00:00.000Z',
    recordedAt: '2026-03-02T15:00:01.000Z',
    reported: true,
    claim: null,
    reversed: false,
    seq: 2,
    ...change,
  };
}

/** 30 tablets for 30 days with two refills, by {@link PRACTICE}. */
export function prescription(
  dispenses: Dispense[],
  change: Partial<Prescription> = {},
  order: Partial<NonNullable<Prescription['order']>> = {},
): Prescription {
  return {
    id: RX,
    name: { issuer: PRACTICE, number: 'A-1' },
    recordedAt: '2026-03-01T15:00:00.000Z',
    order: {
      historical: false,
      patient: PATIENT,
      prescriber: { id: 'someone', org: PRACTICE },
      medication: LISINOPRIL,
      directions: null,
      quantity: tablets('30'),
      daysSupply: 30,
      refills: 2,
      substitutionAllowed: true,
      writtenOn: '2026-03-01',
      earliestFillOn: null,
      nominatedPharmacy: null,
      note: null,
      zone: 'America/New_York',
      schedule: null,
      ingredient: null,
      validUntil: '2027-03-01',
      ruleSet: 'us-federal',
      tokenGeneration: 1,
      tokenHash: null,
      recordedAt: '2026-03-01T15:00:00.000Z',
      ...order,
    },
    status: 'active',
    issues: [],
    cancel: null,
    refillHolder: null,
    pharmacies: [{ org: PHARMACY, since: '2026-03-01T15:00:00.000Z' }],
    dispenses,
    doses: [],
    ...change,
  };
}

export function supply(id: string, dispenses: Dispense[], change: Partial<Supply> = {}): Supply {
  return {
    id,
    recordedAt: '2026-03-01T15:00:00.000Z',
    patient: null,
    claimedOrder: null,
    pharmacy: PHARMACY,
    dispenses,
    doses: [],
    matchedTo: null,
    ...change,
  };
}

export function book(...chains: (Prescription | Supply)[]): Book {
  return {
    patient: PATIENT,
    prescriptions: chains.filter((chain) => 'issues' in chain),
    supplies: chains.filter((chain) => 'matchedTo' in chain),
  };
}
