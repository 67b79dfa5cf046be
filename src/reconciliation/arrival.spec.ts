import type { LedgerEvent } from '../ledger/core/record/event.js';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  cancel,
  context,
  DOCTOR,
  issue,
  PATIENT,
  PHARMACY_A,
  PHARMACY_B,
  report,
  reverse,
  type Step,
  SYSTEM,
} from '../../test/support/domain.js';
import type { Decision } from '../ledger/model.js';
import { decideReconcile } from '../patient/decide.js';
import { evolvePatient } from '../patient/evolve.js';
import type { Patient } from '../patient/state.js';
import { evolvePrescription } from '../prescription/evolve.js';
import type { Prescription } from '../prescription/state.js';
import { diff, findDiscrepancies } from './discrepancies.js';
import { examples } from '../../test/support/length.js';

const settings = { earlyRefillFactor: 0.75 };
const NOW = Date.parse('2026-06-01T00:00:00.000Z');

/** One step about one order, with the time at which it was taken. */
type Message = { readonly order: string; readonly step: Step };

const day = (n: number) => new Date(Date.parse('2026-01-15T17:00:00.000Z') + n * 86_400_000).toISOString();

function messagesOf(order: string, facts: Facts): Message[] {
  const name = { issuer: 'practice', number: order };
  const sent: Step[] = [issue({ name, patient: PATIENT, refills: facts.refills }, DOCTOR, day(0))];
  if (facts.cancelledOn !== null) sent.push(cancel({ name }, DOCTOR, day(facts.cancelledOn)));
  for (const [n, { on, pharmacy, value, fill }] of facts.reports.entries()) {
    const by = pharmacy === 'a' ? PHARMACY_A : PHARMACY_B;
    sent.push(report(value, `${order}-${n}`, { order: name, issue: fill, whenHandedOver: day(on) }, by, day(on)));
  }
  return sent.map((step) => ({ order, step }));
}

type Facts = {
  refills: number;
  cancelledOn: number | null;
  reports: { on: number; pharmacy: 'a' | 'b'; value: string; fill: number | null }[];
};
const anyFacts: fc.Arbitrary<Facts> = fc.record({
  refills: fc.integer({ min: 0, max: 2 }),
  cancelledOn: fc.option(fc.integer({ min: 0, max: 20 })),
  reports: fc.array(
    fc.record({
      on: fc.integer({ min: 0, max: 40 }),
      pharmacy: fc.constantFrom('a' as const, 'b' as const),
      value: fc.constantFrom('15', '30', '60'),
      fill: fc.constantFrom(0, 1, 2, null),
    }),
    { maxLength: 4 },
  ),
});

/** One patient's clinical chains and patient chain, as the ledger would hold them. */
class Ledger {
  readonly prescriptions = new Map<string, Prescription>();
  patient: Patient | null = null;
  private seq = 0;

  /** A refused step, for example a repeat, leaves no trace. */
  take({ order, step }: Message): void {
    const state = this.prescriptions.get(order) ?? null;
    const at = step.at ?? day(0);
    // An order that arrives late is still dated the day it was written.
    const decision = step.decide(state, { ...context(step.by, at), chain: order });
    const events = this.recorded(decision, 'prescription', step.by, at);
    const after = events.reduce<Prescription | null>(evolvePrescription, state);
    if (after) this.prescriptions.set(order, after);
  }

  reconcile(): void {
    const book = { patient: PATIENT, prescriptions: [...this.prescriptions.values()], supplies: [] };
    const { open, gone } = diff(findDiscrepancies(book, NOW, settings), this.patient);
    const decision = decideReconcile(this.patient, { opened: open, gone }, { chain: PATIENT, now: NOW, actor: SYSTEM });
    const events = this.recorded(decision, 'patient', SYSTEM, new Date(NOW).toISOString());
    this.patient = events.reduce<Patient | null>(evolvePatient, this.patient);
  }

  open(): string[] {
    const open = this.patient?.discrepancies.filter(({ status }) => status === 'open') ?? [];
    return open.map(({ id }) => id).toSorted();
  }

  private recorded(
    decision: Decision,
    kind: LedgerEvent['kind'],
    { id, role, org }: Step['by'],
    recordedAt: string,
  ): LedgerEvent[] {
    if ('refusal' in decision) return [];
    return decision.events.map((event) => ({
      ...event,
      kind,
      seq: this.seq++,
      actor: { id, role, org },
      occurredAt: event.occurredAt ?? recordedAt,
      recordedAt,
    }));
  }
}

it('late, repeated and reordered messages end in the same open discrepancies, however often the book is judged', () => {
  let seen = 0;
  const numRuns = examples(400);
  const scenario = fc
    .tuple(anyFacts, anyFacts)
    .map(([a, b]) => [...messagesOf('a', a), ...messagesOf('b', b)])
    .chain((sent) =>
      fc.record({
        sent: fc.constant(sent),
        arrival: fc.shuffledSubarray([...sent, ...sent], { minLength: sent.length * 2, maxLength: sent.length * 2 }),
        judged: fc.array(fc.boolean(), { minLength: sent.length * 2, maxLength: sent.length * 2 }),
      }),
    );
  fc.assert(
    fc.property(scenario, ({ sent, arrival, judged }) => {
      const inOrder = new Ledger();
      for (const message of sent) inOrder.take(message);
      inOrder.reconcile();
      const otherwise = new Ledger();
      for (const [n, message] of arrival.entries()) {
        otherwise.take(message);
        if (judged[n]) otherwise.reconcile();
      }
      otherwise.reconcile();
      otherwise.reconcile();
      seen += inOrder.open().length;
      expect(otherwise.open()).toEqual(inOrder.open());
    }),
    { numRuns },
  );
  expect(seen).toBeGreaterThan(numRuns);
});

it('opens again what came back with the same evidence, and drops what was reversed', () => {
  const ledger = new Ledger();
  const name = { issuer: 'practice', number: 'a' };
  const take = (step: Step) => {
    ledger.take({ order: 'a', step });
    ledger.reconcile();
  };
  take(issue({ name, patient: PATIENT }));
  take(report('30', 'one', { order: name }));
  take(report('1', 'two', { order: name }));
  const [first] = ledger.open();
  take(report('1', 'three', { order: name }));
  expect(ledger.open()).not.toContain(first);
  take(reverse('three'));
  expect(ledger.open()).toEqual([first]);
  take(reverse('two'));
  expect(ledger.open()).toEqual([]);
});
