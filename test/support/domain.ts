// Longer than 300 lines: the steps of every module, side by side.
/** Given / when / then for the pure domain: people, steps and the states that result. */
import type { LedgerEvent } from '../../src/ledger/core/record/event.js';
import type { Actor, Decision, NewEvent, Refusal } from '../../src/ledger/model.js';
import {
  type ClaimIssue,
  decideClaim,
  decideDispense,
  decideNotDispensed,
  decideRelease,
  type RecordDispense,
} from '../../src/dispensing/decide.js';
import {
  decideReport,
  decideReverse,
  type ReportDispense,
  type ReverseDispense,
} from '../../src/dispensing/decide-afterwards.js';
import {
  type CancelOrder,
  decideCancel,
  decideImport,
  decideIssue,
  type ImportOrder,
  type IssueOrder,
} from '../../src/prescribing/decide.js';
import type { IssueContext } from '../../src/prescription/context.js';
import { evolvePrescription } from '../../src/prescription/evolve.js';
import { type Drug, RXNORM } from '../../src/prescription/drugs/formulary.js';
import type { Medication, Schedule } from '../../src/prescription/events.js';
import type { Prescription } from '../../src/prescription/state.js';
import { heldIssue } from '../../src/prescription/queries.js';
import { decideTimer } from '../../src/prescription/timer.js';

export const ZONE = 'America/New_York';
export const CHAIN = '00000000-0000-4000-8000-000000000001';
export const PATIENT = '00000000-0000-4000-8000-0000000000aa';

function actor(id: string, role: Actor['role'], org: string | null = null, patient: string | null = null): Actor {
  return { id, role, org, patient };
}
export const DOCTOR = actor('doctor', 'prescriber', 'practice');
export const OTHER_DOCTOR = actor('other-doctor', 'prescriber', 'other-practice');
export const PHARMACY_A = actor('ann', 'pharmacist', 'pharmacy-a');
export const PHARMACY_B = actor('ben', 'pharmacist', 'pharmacy-b');
export const THE_PATIENT = actor('pat', 'patient', null, PATIENT);
export const OTHER_PATIENT = actor('paul', 'patient', null, '00000000-0000-4000-8000-0000000000bb');
export const SYSTEM = actor('system', 'system');
export const IMPORT = actor('import', 'system');
export const AUDITOR = actor('audrey', 'auditor');
export const ADMINISTRATOR = actor('adam', 'administrator');

function drug(rxcui: string, ingredient: string, strength: string, schedule: Schedule): Drug {
  return { rxcui, name: `${ingredient} ${strength} Oral Tablet`, ingredient, strength, form: 'Oral Tablet', schedule };
}
const DRUGS = [
  drug('1', 'simvastatin', '10 MG', null),
  drug('2', 'oxycodone', '5 MG', 'II'),
  drug('3', 'ketamine', '10 MG', 'III'),
  drug('4', 'diazepam', '5 MG', 'IV'),
  drug('5', 'pregabalin', '50 MG', 'V'),
  { ...drug('11', 'simvastatin', '10 MG', null), name: 'simvastatin 10 MG Oral Tablet [Zocor]' },
  drug('12', 'simvastatin', '20 MG', null),
] as const;

export function med(code: string): Medication {
  return { system: RXNORM, code, display: `drug ${code}` };
}
export const tablets = (value: string) => ({ value, unit: '{tablet}' });

/** The day on which orders are written, and its noon in New York. */
export const WRITTEN = '2026-01-15';
export const NOON = '2026-01-15T17:00:00.000Z';

export function context(by: Actor, at: string = NOON): IssueContext {
  return {
    chain: CHAIN,
    now: Date.parse(at),
    actor: by,
    zone: ZONE,
    findDrug: (code) => DRUGS.find(({ rxcui }) => rxcui === code) ?? null,
    formularyVersion: 'test',
    settings: { validityMonths: 12 },
  };
}

export function order(over: Partial<IssueOrder> = {}): IssueOrder {
  return {
    name: { issuer: 'practice', number: '1' },
    patient: PATIENT,
    medication: med('1'),
    directions: 'one in the evening',
    quantity: tablets('30'),
    daysSupply: 30,
    refills: 0,
    substitutionAllowed: true,
    writtenOn: WRITTEN,
    earliestFillOn: null,
    nominatedPharmacy: null,
    note: null,
    tokenGeneration: 1,
    tokenHash: 'token',
    ...over,
  };
}

/** One action of an actor at an instant. */
export interface Step {
  readonly by: Actor;
  readonly at: string | null;
  decide(rx: Prescription | null, ctx: IssueContext): Decision;
}

/** The chain must exist: a table of steps without the order is an error in the test. */
function existing(rx: Prescription | null): Prescription {
  if (!rx) throw new Error('the chain does not exist yet');
  return rx;
}
const secretOf = (rx: Prescription) => heldIssue(rx)?.claim.secretHash ?? 'none';

export function issue(over: Partial<IssueOrder> = {}, by: Actor = DOCTOR, at: string | null = null): Step {
  return { by, at, decide: (rx, ctx) => decideIssue(rx, order(over), ctx) };
}
export function importOrder(over: Partial<ImportOrder> = {}, by: Actor = IMPORT, at: string | null = null): Step {
  const command: ImportOrder = {
    name: { issuer: 'practice', number: '1' },
    patient: PATIENT,
    medication: med('1'),
    directions: null,
    quantity: null,
    daysSupply: null,
    refills: null,
    authoredOn: '2019-03-04T08:00:00+01:00',
    sourceStatus: 'active',
    requester: null,
    source: { resourceType: 'MedicationRequest' },
    ...over,
  };
  return { by, at, decide: (rx, ctx) => decideImport(rx, command, ctx) };
}
export function cancel(over: Partial<CancelOrder> = {}, by: Actor = DOCTOR, at: string | null = null): Step {
  const command: CancelOrder = {
    name: { issuer: 'practice', number: '1' },
    reason: 'clinical-change',
    note: null,
    ...over,
  };
  return { by, at, decide: (rx, ctx) => decideCancel(rx, command, ctx) };
}
export function claim(by: Actor = PHARMACY_A, over: Partial<ClaimIssue> = {}, at: string | null = null): Step {
  const command: ClaimIssue = {
    claimId: `claim-${by.id}`,
    tokenHash: 'token',
    secretHash: (number) => `secret-${by.id}-${number}`,
    ...over,
  };
  return { by, at, decide: (rx, ctx) => decideClaim(existing(rx), command, ctx) };
}
export function release(by: Actor = PHARMACY_A, secretHash?: string): Step {
  return {
    by,
    at: null,
    decide: (rx, ctx) =>
      decideRelease(existing(rx), { secretHash: secretHash ?? secretOf(existing(rx)), reason: 'out-of-stock' }, ctx),
  };
}
export function closeNotDispensed(by: Actor = PHARMACY_A, secretHash?: string): Step {
  return {
    by,
    at: null,
    decide: (rx, ctx) =>
      decideNotDispensed(
        existing(rx),
        { secretHash: secretHash ?? secretOf(existing(rx)), reason: 'not-collected' },
        ctx,
      ),
  };
}
/** By default handed over at the instant of the step, with the holder's secret. */
export function dispense(
  value: string,
  dispenseId: string,
  over: Partial<RecordDispense> = {},
  by: Actor = PHARMACY_A,
  at: string | null = null,
): Step {
  return {
    by,
    at,
    decide: (rx, ctx) =>
      decideDispense(
        existing(rx),
        {
          secretHash: secretOf(existing(rx)),
          dispenseId,
          medication: med('1'),
          quantity: tablets(value),
          daysSupply: 30,
          whenHandedOver: new Date(ctx.now).toISOString(),
          note: null,
          ...over,
        },
        ctx,
      ),
  };
}
export function reverse(
  dispenseId: string,
  by: Actor = PHARMACY_A,
  at: string | null = null,
  reason: ReverseDispense['reason'] = 'not-collected',
): Step {
  return { by, at, decide: (rx, ctx) => decideReverse(existing(rx), { dispenseId, reason }, ctx) };
}
export function report(
  value: string,
  dispenseId: string,
  over: Partial<ReportDispense> = {},
  by: Actor = PHARMACY_A,
  at: string | null = null,
): Step {
  return {
    by,
    at,
    decide: (rx, ctx) =>
      decideReport(
        rx,
        {
          dispenseId,
          medication: med('1'),
          quantity: tablets(value),
          daysSupply: 30,
          whenHandedOver: new Date(ctx.now).toISOString(),
          note: null,
          order: { issuer: 'practice', number: '1' },
          issue: 0,
          patient: null,
          reason: 'outage',
          ...over,
        },
        ctx,
      ),
  };
}
export function timer(at: string): Step {
  return { by: SYSTEM, at, decide: (rx, ctx) => decideTimer(existing(rx), ctx) };
}

export interface Story {
  readonly rx: Prescription | null;
  readonly events: readonly LedgerEvent[];
  readonly now: string;
}
export const NOTHING_YET: Story = { rx: null, events: [], now: NOON };

export type Told =
  | { readonly refusal: Refusal; readonly story: Story }
  | { readonly refusal: null; readonly types: readonly string[]; readonly story: Story };

/** Takes the step like the ledger: its events recorded and folded, or only its refusal. */
export function tell(story: Story, step: Step): Told {
  const now = step.at ?? story.now;
  const decision = step.decide(story.rx, context(step.by, now));
  if ('refusal' in decision) return { refusal: decision.refusal, story: { ...story, now } };
  const first = story.events.length;
  const events = decision.events.map((event, index) => committed(event, first + index, step.by, now));
  const rx = events.reduce(evolvePrescription, story.rx);
  return {
    refusal: null,
    types: events.map(({ type }) => type),
    story: { rx, events: [...story.events, ...events], now },
  };
}

/** The story after these steps. @throws {Error} when one of them is refused */
export function given(...steps: Step[]): Story {
  return steps.reduce((story, step) => {
    const told = tell(story, step);
    if (told.refusal) throw new Error(`given was refused: ${told.refusal.code}`);
    return told.story;
  }, NOTHING_YET);
}

/** The event in the form in which the ledger returns it. */
export function committed(event: NewEvent, seq: number, by: Actor, recordedAt: string): LedgerEvent {
  const { id, role, org } = by;
  const occurredAt = event.occurredAt ?? recordedAt;
  return structuredClone({ ...event, kind: 'prescription', seq, actor: { id, role, org }, occurredAt, recordedAt });
}

/** The state in one line: `active | dispensed part-dispensed@pharmacy-a future`. */
export function inOneLine(rx: Prescription | null): string {
  const issues = rx?.issues.map(({ status, claim: held }) => (held ? `${status}@${held.pharmacy}` : status)) ?? [];
  return [rx?.status ?? 'no order', ...(issues.length > 0 ? ['|', ...issues] : [])].join(' ');
}

/** One row of a given / when / then table: `then` is a refusal code, or the state in one line. */
export type Row = readonly [name: string, given: readonly Step[], when: Step, then: string];

/** The result of a row: the refusal's code, or the state in one line. */
export function outcomeOf([, before, when]: Row): string {
  const told = tell(given(...before), when);
  return told.refusal ? told.refusal.code : inOneLine(told.story.rx);
}
