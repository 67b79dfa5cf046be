import { decideErase, decidePlaceHold, decideReleaseHold } from './decide-holds.js';
import type { Role } from '../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import type { Actor } from '../ledger/model.js';
import { evolvePatient } from './evolve.js';
import { type Hold, isInForce } from './holds.js';
import type { Patient } from './state.js';

const CHAIN = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f01';
const HOLD = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f09';
const NOW = Date.parse('2026-03-10T11:00:00.000Z');

const as = (role: Role): Actor => ({ id: 'somebody', role, org: null, patient: null });
const context = (role: Role = 'administrator', now = NOW) => ({ chain: CHAIN, now, actor: as(role) });
const hold = (over: Partial<Hold> = {}): Hold => ({
  holdId: HOLD,
  reason: 'litigation',
  until: null,
  authority: 'a court',
  placedAt: '2026-03-01T00:00:00.000Z',
  releasedAt: null,
  ...over,
});
const patient = (...holds: Hold[]): Patient => ({
  id: CHAIN,
  enrolledAt: '2026-01-01T00:00:00.000Z',
  name: 'Pat Example',
  birthDate: null,
  identifiers: [],
  address: null,
  discrepancies: [],
  grants: [],
  disclosures: [],
  holds,
  reads: [],
  discrepanciesLeft: 0,
});
const provisional: Patient = { ...patient(), enrolledAt: null };
const codeOf = (answer: object | null): string =>
  answer && 'refusal' in answer ? (answer.refusal as { code: string }).code : 'accepted';

describe('a hold', () => {
  it.each<[string, Partial<Hold>, boolean]>([
    ['without an end is in force', {}, true],
    ['is in force on its last day', { until: '2026-03-10' }, true],
    ['is in force while its last day lasts somewhere', { until: '2026-03-09' }, true],
    ['is over when its last day is over everywhere', { until: '2026-03-08' }, false],
    ['is over when it was released', { releasedAt: '2026-03-02T00:00:00.000Z' }, false],
  ])('%s', (_, over, expected) => {
    expect(isInForce(hold(over), NOW)).toBe(expected);
  });

  it('ends at the hour at which the day ends at the last place on earth', () => {
    const end = Date.parse('2026-03-09T12:00:00.000Z');
    expect([end - 1, end].map((now) => isInForce(hold({ until: '2026-03-08' }), now))).toEqual([true, false]);
  });

  const { holdId, reason, authority } = hold();
  const command = { holdId, reason, authority, until: null };
  it.each<[string, Patient | null, Role, string | null, string]>([
    ['by an administrator', patient(), 'administrator', null, 'accepted'],
    ['beside another', patient(hold()), 'administrator', null, 'accepted'],
    ['by the service', patient(), 'system', null, 'access.forbidden'],
    ['by a prescriber', patient(), 'prescriber', null, 'access.forbidden'],
    ['by a patient', patient(), 'patient', null, 'access.forbidden'],
    ['on nobody', null, 'administrator', null, 'ledger.chain-unknown'],
    ['on somebody who is not enrolled', provisional, 'administrator', null, 'ledger.chain-unknown'],
    ['that is over', patient(), 'administrator', '2026-03-08', 'hold.until-past'],
    ['until today', patient(), 'administrator', '2026-03-10', 'accepted'],
  ])('placed %s', (_, whose, role, until, expected) => {
    expect(codeOf(decidePlaceHold(whose, { ...command, until }, context(role)))).toBe(expected);
  });

  it.each<[string, Patient, Role, string]>([
    ['by an administrator', patient(hold()), 'administrator', 'accepted'],
    ['by a pharmacist', patient(hold()), 'pharmacist', 'access.forbidden'],
    ['that was never placed', patient(hold({ holdId: 'another' })), 'administrator', 'hold.unknown'],
    ['twice', patient(hold({ releasedAt: '2026-03-02T00:00:00.000Z' })), 'administrator', 'hold.already-released'],
  ])('released %s', (_, whose, role, expected) => {
    expect(codeOf(decideReleaseHold(whose, { holdId: HOLD, reason: 'lifted' }, context(role)))).toBe(expected);
  });

  it('is what its events say', () => {
    const told = { kind: 'patient', chain: CHAIN, actor: as('administrator'), occurredAt: '', derived: {} } as const;
    const placed = { ...told, seq: 1, type: 'hold.placed/1', data: command, recordedAt: hold().placedAt };
    const released = {
      ...told,
      seq: 2,
      type: 'hold.released/1',
      data: { holdId: HOLD, reason: 'lifted' },
      recordedAt: '2026-03-05T00:00:00.000Z',
    };
    const before = patient(hold({ holdId: 'another' }));
    const state = [placed, released].reduce<Patient>((so, event) => evolvePatient(so, event), before);
    expect(state).toEqual(patient(hold({ holdId: 'another' }), hold({ releasedAt: released.recordedAt })));
  });
});

describe('an erasure', () => {
  it.each<[string, Patient | null, Role, string]>([
    ['without a hold', patient(), 'administrator', 'accepted'],
    ['whose holds are over', patient(hold({ until: '2026-03-08' })), 'administrator', 'accepted'],
    ['under a hold', patient(hold({ until: '2026-03-08' }), hold()), 'administrator', 'patient.on-hold'],
    ['by a prescriber', patient(), 'prescriber', 'access.forbidden'],
    ['by a prescriber, of nobody', null, 'prescriber', 'access.forbidden'],
    ['of nobody', null, 'administrator', 'ledger.chain-unknown'],
    ['of somebody who is not enrolled', provisional, 'administrator', 'ledger.chain-unknown'],
  ])('%s', (_, whose, role, expected) => {
    expect(codeOf(decideErase(whose, context(role)))).toBe(expected);
  });

  it('that is refused says which holds are in force, and not who demands them', () => {
    const refused = decideErase(patient(hold({ until: '2027-01-01' }), hold({ until: '2026-01-01' })), context());
    expect(refused?.refusal.facts).toEqual({ holds: [{ holdId: HOLD, reason: 'litigation', until: '2027-01-01' }] });
  });
});
