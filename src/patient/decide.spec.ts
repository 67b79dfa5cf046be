import type { LedgerEvent } from '../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import {
  ADMINISTRATOR,
  AUDITOR,
  CHAIN,
  committed,
  context,
  DOCTOR,
  IMPORT,
  NOON,
  OTHER_DOCTOR,
  PHARMACY_A,
  PHARMACY_B,
  SYSTEM,
  THE_PATIENT,
} from '../../test/support/domain.js';
import type { Actor, Decision } from '../ledger/model.js';
import {
  decideAccess,
  decideBreakGlass,
  decideEnrol,
  decideReconcile,
  decideResolve,
  type EnrolPatient,
  type Reconcile,
  type ResolveDiscrepancy,
} from './decide.js';
import { evolvePatient } from './evolve.js';
import { patientModel } from './chain-model.js';
import type { Discrepancy, Patient, Reporter } from './state.js';

const ANNA: EnrolPatient = {
  name: 'Anna Example',
  birthDate: '1970-01-01',
  identifiers: [{ system: 'urn:mrn', value: '7' }],
  address: null,
  source: null,
};
const found = (id: string, over: Partial<Discrepancy> = {}): Discrepancy => ({
  id,
  class: 'D07',
  chain: 'rx',
  side: 'both',
  orgs: ['practice', 'pharmacy-a'],
  reporters: [],
  evidence: { total: '31' },
  ...over,
});

const reporter = (org: string): Reporter => ({ org, dispenses: [`of-${org}`] });

/** One actor's decision on the patient's chain at an instant. */
type Step = readonly [by: Actor, decide: (patient: Patient | null, by: Actor, at: string) => Decision, at: string];

function existing(patient: Patient | null): Patient {
  if (!patient) throw new Error('the patient is not enrolled');
  return patient;
}
const enrol = (by: Actor = ADMINISTRATOR, over: Partial<EnrolPatient> = {}): Step => [
  by,
  (patient, actor, at) => decideEnrol(patient, { ...ANNA, ...over }, context(actor, at)),
  NOON,
];
const breakGlass = (by: Actor, reason = 'unconscious', at = NOON): Step => [
  by,
  (patient, actor, now) => decideBreakGlass(existing(patient), { reason }, context(actor, now)),
  at,
];
const reconcile = (command: Partial<Reconcile>, by: Actor = SYSTEM, at = NOON): Step => [
  by,
  (patient, actor, now) => decideReconcile(patient, { opened: [], gone: [], ...command }, context(actor, now)),
  at,
];
const resolve = (id: string, by: Actor, resolution: ResolveDiscrepancy['resolution'] = 'accepted'): Step => [
  by,
  (patient, actor, at) => decideResolve(existing(patient), { id, resolution, note: null }, context(actor, at)),
  NOON,
];

function tell(events: readonly LedgerEvent[], [by, decide, at]: Step): readonly LedgerEvent[] | string {
  const decision = decide(events.reduce(evolvePatient, null), by, at);
  if ('refusal' in decision) return decision.refusal.code;
  return decision.events.map((event, index) => committed(event, events.length + index, by, at));
}
function given(...steps: Step[]): LedgerEvent[] {
  return steps.reduce<LedgerEvent[]>((events, step) => {
    const told = tell(events, step);
    if (typeof told === 'string') throw new Error(`given was refused: ${told}`);
    return [...events, ...told];
  }, []);
}
const stateOf = (...steps: Step[]): Patient => existing(given(...steps).reduce(evolvePatient, null));

const open = [enrol(), reconcile({ opened: [found('a')] })];
const gone = [...open, reconcile({ gone: ['a'] })];

const ROWS: [name: string, given: Step[], when: Step, then: string | string[]][] = [
  ['an administrator enrols', [], enrol(), ['patient.enrolled/1']],
  ['a prescriber enrols', [], enrol(DOCTOR), ['patient.enrolled/1']],
  ['an import enrols', [], enrol(IMPORT), ['patient.enrolled/1']],
  ['a patient enrols nobody', [], enrol(THE_PATIENT), 'access.forbidden'],
  ['an auditor enrols nobody', [], enrol(AUDITOR), 'access.forbidden'],
  ['enrolled twice', [enrol()], enrol(), 'patient.already-enrolled'],
  ['without a name', [], enrol(ADMINISTRATOR, { name: ' ' }), 'patient.name-missing'],

  ['break-glass by a prescriber', [enrol()], breakGlass(OTHER_DOCTOR), ['access.break-glass/1']],
  ['break-glass by a pharmacist', [enrol()], breakGlass(PHARMACY_B), ['access.break-glass/1']],
  ['break-glass without a reason', [enrol()], breakGlass(OTHER_DOCTOR, '\n'), 'access.reason-missing'],
  ['break-glass by the administrator', [enrol()], breakGlass(ADMINISTRATOR), 'access.forbidden'],
  ['break-glass by the patient', [enrol()], breakGlass(THE_PATIENT), 'access.forbidden'],

  ['a discrepancy is found', [enrol()], reconcile({ opened: [found('a')] }), ['discrepancy.opened/1']],
  [
    'two at once',
    [enrol()],
    reconcile({ opened: [found('a'), found('b')] }),
    ['discrepancy.opened/1', 'discrepancy.opened/1'],
  ],
  ['the same one twice at once', [enrol()], reconcile({ opened: [found('a'), found('a')] }), ['discrepancy.opened/1']],
  ['found again while open', open, reconcile({ opened: [found('a')] }), []],
  ['found again after a person resolved it', [...open, resolve('a', DOCTOR)], reconcile({ opened: [found('a')] }), []],
  ['found again after it was gone', gone, reconcile({ opened: [found('a')] }), ['discrepancy.opened/1']],
  [
    'one goes, one comes',
    open,
    reconcile({ opened: [found('b')], gone: ['a'] }),
    ['discrepancy.opened/1', 'discrepancy.resolved/1'],
  ],
  ['gone', open, reconcile({ gone: ['a'] }), ['discrepancy.resolved/1']],
  ['gone, said twice at once', open, reconcile({ gone: ['a', 'a'] }), ['discrepancy.resolved/1']],
  ['gone, twice', gone, reconcile({ gone: ['a'] }), []],
  ['gone after a person resolved it', [...open, resolve('a', DOCTOR)], reconcile({ gone: ['a'] }), []],
  ['gone, never found', open, reconcile({ gone: ['z'] }), []],
  ['nothing found', open, reconcile({}), []],
  ['found by a person', [enrol()], reconcile({ opened: [found('a')] }, DOCTOR), 'access.forbidden'],

  ['resolved by the prescriber', open, resolve('a', DOCTOR), ['discrepancy.resolved/1']],
  ['resolved by the pharmacy', open, resolve('a', PHARMACY_A, 'corrected'), ['discrepancy.resolved/1']],
  ['resolved by an organisation that it does not concern', open, resolve('a', PHARMACY_B), 'discrepancy.unknown'],
  [
    'resolved by a pharmacy that has only reported',
    [enrol(), reconcile({ opened: [found('a', { reporters: [reporter('pharmacy-b')] })] })],
    resolve('a', PHARMACY_B),
    'discrepancy.unknown',
  ],
  ['resolved, not there', open, resolve('z', DOCTOR), 'discrepancy.unknown'],
  ['resolved twice', [...open, resolve('a', DOCTOR)], resolve('a', PHARMACY_A), 'discrepancy.already-resolved'],
  ['resolved when it is gone', gone, resolve('a', DOCTOR), 'discrepancy.already-resolved'],
  ['resolved by the patient', open, resolve('a', THE_PATIENT), 'access.forbidden'],
  ['resolved by the worker', open, resolve('a', SYSTEM), 'access.forbidden'],
];

const minutesLater = (minutes: number): string => new Date(Date.parse(NOON) + minutes * 60_000).toISOString();

describe('a patient chain', () => {
  it.each(ROWS)('%s', (_, before, when, then) => {
    const told = tell(given(...before), when);
    expect(typeof told === 'string' ? told : told.map(({ type }) => type)).toEqual(then);
  });

  it('reads are recorded together and remembered, so that the same within the hour are not', () => {
    const reader = { id: 'doctor', role: 'prescriber', org: 'practice' };
    const reads = [{ reader, action: 'prescription.read', chains: ['rx'], at: NOON }];
    const before = stateOf(enrol());
    const decision = decideAccess(before, reads, context(SYSTEM));
    expect(decision).toEqual({ events: [{ chain: CHAIN, type: 'access.recorded/1', data: { reads }, derived: {} }] });
    const events = 'events' in decision ? decision.events : [];
    const after = events.map((event) => committed(event, 1, SYSTEM, NOON)).reduce(evolvePatient, before);
    expect(after).toEqual({ ...before, reads: [{ reader: 'doctor', since: NOON, chains: ['rx'] }] });
    expect(decideAccess(after, reads, context(SYSTEM))).toEqual({ events: [] });
    expect(decideAccess(before, [], context(SYSTEM))).toEqual({ events: [] });
  });

  it('break-glass lasts one hour; what has run out is forgotten', () => {
    const first = { actor: 'other-doctor', until: '2026-01-15T18:00:00.000Z' };
    expect(stateOf(enrol(), breakGlass(OTHER_DOCTOR)).grants).toEqual([first]);
    const both = stateOf(enrol(), breakGlass(OTHER_DOCTOR), breakGlass(PHARMACY_B, 'r', '2026-01-15T17:59:59.999Z'));
    expect(both.grants).toEqual([first, { actor: 'ben', until: '2026-01-15T18:59:59.999Z' }]);
    const later = stateOf(enrol(), breakGlass(OTHER_DOCTOR), breakGlass(PHARMACY_B, 'r', '2026-01-15T18:00:00.000Z'));
    expect(later.grants.map(({ actor }) => actor)).toEqual(['ben']);
  });

  it('a discrepancy comes, goes and comes back; who once saw it still does', () => {
    const [id, at] = ['a', '2026-01-16T17:00:00.000Z'];
    expect(stateOf(...open).discrepancies).toEqual([
      { ...found(id), status: 'open', seq: 1, openedAt: NOON, resolvedAt: null, resolution: null },
    ]);
    expect(stateOf(...gone).discrepancies).toMatchObject([
      { status: 'resolved', resolvedAt: NOON, resolution: 'gone' },
    ]);
    const back = stateOf(...gone, reconcile({ opened: [found(id, { orgs: ['pharmacy-b', 'practice'] })] }, SYSTEM, at));
    const orgs = ['practice', 'pharmacy-a', 'pharmacy-b'];
    expect(back.discrepancies).toMatchObject([
      { id, orgs, status: 'open', openedAt: at, resolvedAt: null, resolution: null },
    ]);
  });

  it('who has only reported is kept apart, until more is known of them', () => {
    const [b, c] = [reporter('pharmacy-b'), reporter('pharmacy-c')];
    const told = [enrol(), reconcile({ opened: [found('a', { reporters: [b, c] })] }), reconcile({ gone: ['a'] })];
    expect(stateOf(...told).discrepancies).toMatchObject([{ orgs: ['practice', 'pharmacy-a'], reporters: [b, c] }]);
    const back = stateOf(...told, reconcile({ opened: [found('a', { orgs: ['practice', 'pharmacy-b'] })] }));
    expect(back.discrepancies).toMatchObject([{ orgs: ['practice', 'pharmacy-a', 'pharmacy-b'], reporters: [c] }]);
    const rows = patientModel.rows(back, { chain: 5, subject: 5 });
    expect(rows.filter(({ table }) => table === 'discrepancy_org').map(({ values }) => values['org'])).toEqual([
      'practice',
      'pharmacy-a',
      'pharmacy-b',
      'pharmacy-c',
    ]);
  });

  it('resolved discrepancies leave the state after a hundred, earliest first, open ones never', () => {
    const ids = Array.from({ length: 105 }, (_, n) => `d${n}`);
    const opened = [enrol(), reconcile({ opened: ['still-open', ...ids].map((id) => found(id)) })];
    const all = stateOf(...opened, ...ids.map((id, n) => reconcile({ gone: [id] }, SYSTEM, minutesLater(n))));
    expect(all.discrepanciesLeft).toBe(5);
    expect(all.discrepancies.map(({ id }) => id)).toEqual(['still-open', ...ids.slice(5)]);
    // A discrepancy does not leave the state at the instant of its resolution: its row does not show that yet.
    const atOnce = stateOf(...opened, reconcile({ gone: ids }));
    expect([atOnce.discrepanciesLeft, atOnce.discrepancies.length]).toEqual([0, 106]);
    const next = stateOf(
      ...opened,
      reconcile({ gone: ids }),
      reconcile({ opened: [found('x')] }, SYSTEM, minutesLater(1)),
    );
    expect([next.discrepanciesLeft, next.discrepancies.length]).toEqual([5, 102]);
  });

  it('rows and names', () => {
    const patient = stateOf(...open, resolve('a', DOCTOR, 'rejected'));
    const at = Date.parse(NOON);
    const listed = { status: 'resolved', opened_at: at, resolved_at: at, resolution: 'rejected' };
    const about = { chain: 5, id: 'a', about: 'rx', class: 'D07', side: 'both' };
    expect(patientModel.rows(patient, { chain: 5, subject: 5 })).toEqual([
      { table: 'patient_row', values: { chain: 5, enrolled_at: at } },
      { table: 'discrepancy_row', values: { ...about, ...listed } },
      { table: 'discrepancy_org', values: { chain: 5, id: 'a', org: 'practice', seq: 1, ...listed } },
      { table: 'discrepancy_org', values: { chain: 5, id: 'a', org: 'pharmacy-a', seq: 1, ...listed } },
    ]);
    expect(patientModel.names(patient)).toEqual([{ domain: 'patient-identifier', parts: ['urn:mrn', '7'] }]);
  });

  it('of a provisional patient begins with what was found; nobody is enrolled by it', () => {
    const patient = stateOf(reconcile({ opened: [found('a')] }));
    expect(patient).toMatchObject({ id: CHAIN, enrolledAt: null, name: '', identifiers: [] });
    expect(patient.discrepancies).toMatchObject([{ id: 'a', status: 'open' }]);
    const tables = patientModel.rows(patient, { chain: 5, subject: 3 }).map(({ table }) => table);
    expect(tables).toEqual(['discrepancy_row', 'discrepancy_org', 'discrepancy_org']);
    expect(patientModel.names(patient)).toEqual([]);
  });

  it('has no other events', () => {
    const [enrolled] = given(enrol());
    if (!enrolled) throw new Error('no event');
    const unknown = { ...enrolled, type: 'patient.enrolled/2' };
    expect(() => evolvePatient(null, unknown)).toThrow('a patient chain has no events of type patient.enrolled/2');
  });
});
