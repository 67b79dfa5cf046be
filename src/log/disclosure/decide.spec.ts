import type { LedgerEvent } from '../../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import type { DisclosureFault } from '../../ledger/core/record/disclosure.js';
import type { Actor, Decision } from '../../ledger/model.js';
import { evolvePatient } from '../../patient/evolve.js';
import type { Patient } from '../../patient/state.js';
import { decideClear, decideDisclose } from './decide.js';

const NOW = Date.parse('2026-03-10T12:00:00.000Z');
const DAY = 24 * 60 * 60 * 1000;
const PATIENT: Actor = { id: 'account-pat', role: 'patient', org: null, patient: 'pat' };
const AUDITOR: Actor = { id: 'aud', role: 'auditor', org: null, patient: null };

const ctx = (actor: Actor, now = NOW) => ({ chain: 'pat', now, actor });

function events(decision: Decision, actor: Actor, now = NOW): LedgerEvent[] {
  if ('refusal' in decision) throw new Error(decision.refusal.code);
  const at = new Date(now).toISOString();
  return decision.events.map((event) => {
    const by = { id: actor.id, role: actor.role, org: actor.org };
    return { kind: 'patient', seq: 1, actor: by, occurredAt: at, recordedAt: at, ...event };
  });
}

/** The patient once these clearances were given, each for 30 days. */
function cleared(...given: { auditor?: string; index?: number; members: string[]; now?: number }[]): Patient {
  let patient: Patient | null = null;
  for (const { auditor = 'aud', index = 7, members, now = NOW } of given) {
    const data = { index, chain: 'rx', members, auditor, reason: 'audit' };
    const decision = decideClear({ data, days: 30, fault: null }, ctx(PATIENT, now));
    for (const event of events(decision, PATIENT, now)) patient = evolvePatient(patient, event);
  }
  return patient ?? { ...blank, id: 'pat' };
}
const blank: Patient = {
  id: '',
  enrolledAt: null,
  name: '',
  birthDate: null,
  identifiers: [],
  address: null,
  discrepancies: [],
  grants: [],
  clearances: [],
  holds: [],
  reads: [],
  discrepanciesLeft: 0,
};

const wish = (members: string[], recipient: string | null = null, fault: DisclosureFault | null = null) => ({
  data: { index: 7, chain: 'rx', members, recipient, reason: 'why' },
  fault,
});

describe('a clearance', () => {
  it('runs for its days, and those that ended are forgotten', () => {
    const patient = cleared({ members: ['type'], now: NOW - 31 * DAY }, { members: ['data'] });
    expect(patient.clearances).toEqual([
      { auditor: 'aud', index: 7, members: ['data'], until: new Date(NOW + 30 * DAY).toISOString() },
    ]);
  });

  it.each<[DisclosureFault, string]>([
    ['member-unknown', 'disclosure.member-unknown'],
    ['signature-alone', 'disclosure.signature-alone'],
  ])('is not given for what cannot be shown: %s', (fault, code) => {
    const data = { index: 7, chain: 'rx', members: ['x'], auditor: 'aud', reason: 'audit' };
    expect(decideClear({ data, days: 1, fault }, ctx(PATIENT))).toMatchObject({ refusal: { code } });
    expect(decideDisclose(blank, wish(['x'], 'X', fault), ctx(PATIENT))).toMatchObject({ refusal: { code } });
  });
});

describe('a disclosure', () => {
  it('names entry, members, recipient and reason, and no value', () => {
    const [event] = events(decideDisclose(blank, wish(['type'], 'Insurance'), ctx(PATIENT)), PATIENT);
    expect(event).toMatchObject({
      type: 'access.disclosed/1',
      chain: 'pat',
      data: { index: 7, chain: 'rx', members: ['type'], recipient: 'Insurance', reason: 'why' },
      derived: {},
    });
    expect(evolvePatient(blank, event!)).toEqual(blank);
  });

  it('says to whom it is given', () => {
    expect(decideDisclose(blank, wish(['type']), ctx(PATIENT))).toMatchObject({
      refusal: { code: 'disclosure.recipient-missing' },
    });
  });

  const absent = 'ledger.chain-unknown';
  const notCleared = 'disclosure.not-cleared';
  const both = cleared({ members: ['type'] }, { members: ['data', 'type'] });
  it.each<[string, Patient, string[], number, string | null]>([
    ['without a clearance', cleared(), ['type'], NOW, absent],
    ['with that of another auditor', cleared({ auditor: 'other', members: ['type'] }), ['type'], NOW, absent],
    ['with one for another entry', cleared({ index: 8, members: ['type'] }), ['type'], NOW, absent],
    ['when it has ended', cleared({ members: ['type'] }), ['type'], NOW + 30 * DAY, absent],
    ['just before', cleared({ members: ['type'] }), ['type'], NOW + 30 * DAY - 1, null],
    ['for more members', cleared({ members: ['type'] }), ['data', 'type'], NOW, notCleared],
    ['for fewer', cleared({ members: ['data', 'type'] }), ['type'], NOW, null],
    ['by two clearances together', cleared({ members: ['data'] }, { members: ['type'] }), ['data', 'type'], NOW, null],
    ['by two that overlap, for more', both, ['actor'], NOW, notCleared],
  ])('to an auditor %s', (_, patient, members, now, code) => {
    const decision = decideDisclose(patient, wish(members), ctx(AUDITOR, now));
    expect('refusal' in decision ? decision.refusal.code : null).toBe(code);
    // Who is not cleared learns nothing of what the payload has.
    const faulty = decideDisclose(patient, wish(members, null, 'member-unknown'), ctx(AUDITOR, now));
    expect(faulty).toMatchObject({ refusal: { code: code ?? 'disclosure.member-unknown' } });
  });

  it('tells who is cleared for what', () => {
    expect(decideDisclose(both, wish(['actor']), ctx(AUDITOR))).toEqual({
      refusal: { code: notCleared, facts: { cleared: ['data', 'type'] } },
    });
  });
});
