import type { Role } from '../../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import { type Action, ACTIONS, may, mayEver, type Relation } from './policy.js';

const ROLES: readonly Role[] = ['prescriber', 'pharmacist', 'patient', 'auditor', 'administrator', 'system'];
const RELATIONS: readonly Relation[] = [
  'own',
  'practice',
  'holder',
  'nominated',
  'token',
  'concerned',
  'granted',
  'addressed',
  'author',
  'none',
];

/**
 * The policy, cell by cell: `-` never; `*` without any relation; otherwise the relations of which one is needed.
 * Columns: prescriber, pharmacist, patient, auditor, administrator, system.
 */
const EXPECTED: Record<Action, readonly [string, string, string, string, string, string]> = {
  public: ['*', '*', '*', '*', '*', '-'],
  'self.read': ['*', '*', '*', '*', '*', '-'],
  'organisation.read': ['*', '*', '*', '*', '*', '-'],
  'prescription.issue': ['*', '-', '-', '-', '-', '-'],
  'prescription.cancel': ['practice', '-', '-', '-', '-', '-'],
  'prescription.read': ['practice granted', 'holder nominated token granted', 'own', '-', '-', '-'],
  'prescription.list': ['practice', 'holder nominated', 'own', '-', '-', '-'],
  'prescription.claim': ['-', 'holder nominated token', '-', '-', '-', '-'],
  'token.read': ['practice', '-', 'own', '-', '-', '-'],
  'claim.recover': ['-', 'holder', '-', '-', '-', '-'],
  'dispense.release': ['-', 'holder', '-', '-', '-', '-'],
  'dispense.record': ['-', 'holder', '-', '-', '-', '-'],
  'dispense.not-dispensed': ['-', 'holder', '-', '-', '-', '-'],
  'dispense.reverse': ['-', 'holder', '-', '-', '-', '-'],
  'dispense.report': ['-', '*', '-', '-', '-', '-'],
  'supply.read': ['-', 'holder', 'own', '-', '-', '-'],
  'supply.match': ['-', 'holder', 'own', '-', '-', '-'],
  'dose.record': ['-', '-', 'own', '-', '-', '-'],
  'dose.read': ['practice granted', 'holder granted', 'own', '-', '-', '-'],
  'patient.enrol': ['*', '-', '-', '-', '*', '-'],
  'patient.search': ['*', '*', '-', '-', '*', '-'],
  'patient.read': ['practice granted', 'holder nominated token granted', 'own', '-', '-', '-'],
  'patient.break-glass': ['*', '*', '-', '-', '-', '-'],
  'access.read': ['-', '-', 'own', '-', '-', '-'],
  'patient.erase': ['-', '-', '-', '-', '*', '-'],
  'hold.place': ['-', '-', '-', '-', '*', '-'],
  'hold.release': ['-', '-', '-', '-', '*', '-'],
  'hold.read': ['-', '-', '-', '-', '*', '-'],
  'discrepancy.list': ['concerned', 'concerned', '-', '-', '-', '-'],
  'discrepancy.resolve': ['concerned', 'concerned', '-', '-', '-', '-'],
  'ledger.read': ['-', '-', '-', '*', '-', '-'],
  'chain.head': ['practice', 'holder', 'own', '*', '-', '-'],
  'receipt.read': ['practice author', 'holder author', 'own author', '*', 'author', '-'],
  'payload.disclose': ['practice', 'holder', 'own', '-', '-', '-'],
  'disclosure.read': ['-', '-', '-', 'addressed', '-', '-'],
  'actor-key.enrol': ['*', '*', '-', '-', '-', '-'],
  'actor-key.read': ['own', 'own', '-', '-', '*', '-'],
  'actor-key.revoke': ['own', 'own', '-', '-', '*', '-'],
  'organisation.create': ['-', '-', '-', '-', '*', '-'],
  'account.create': ['-', '-', '-', '-', '*', '-'],
  'account.disable': ['-', '-', '-', '-', '*', '-'],
  'client.create': ['-', '-', '-', '-', '*', '-'],
  'jobs.read': ['-', '-', '-', '-', '*', '-'],
  'jobs.retry': ['-', '-', '-', '-', '*', '-'],
};

const cells = ACTIONS.flatMap((action) =>
  ROLES.map((role, column) => ({ action, role, expected: EXPECTED[action][column] ?? '' })),
);

describe('policy', () => {
  it('has the actions that are expected, and no other', () => {
    expect([...ACTIONS].toSorted()).toEqual(Object.keys(EXPECTED).toSorted());
  });

  it.each(cells)('$role, $action: $expected', ({ action, role, expected }) => {
    const allowed = RELATIONS.filter((relation) => may(role, action, [relation]));
    const everything = RELATIONS.join(' ');
    const wanted = expected === '*' ? everything : expected === '-' ? '' : expected;
    expect(allowed.toSorted()).toEqual(wanted.split(' ').filter(Boolean).toSorted());
    expect(may(role, action)).toBe(expected === '*');
    expect(mayEver(role, action)).toBe(expected !== '-');
  });

  it('needs one relation, not all', () => {
    expect(may('prescriber', 'prescription.read', ['concerned', 'granted'])).toBe(true);
    expect(may('prescriber', 'prescription.read', ['own', 'holder'])).toBe(false);
  });

  it('lets administrators and auditors at no clinical data', () => {
    const clinical = ACTIONS.filter((action) =>
      /^(prescription|claim|dispense|dose|supply|discrepancy|access)\.|^patient\.read$/.test(action),
    );
    expect(clinical.length).toBeGreaterThan(10);
    expect(clinical.filter((action) => mayEver('administrator', action) || mayEver('auditor', action))).toEqual([]);
  });
});
