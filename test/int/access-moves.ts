/** What people do at random, as they may or may not: the lives that lists are asked about. */
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { AdherenceService } from '../../src/adherence/adherence.service.js';
import { DispensingService } from '../../src/dispensing/dispensing.service.js';
import { SuppliesService } from '../../src/dispensing/supplies.service.js';
import { RefusalException } from '../../src/http/problem/problem.js';
import { existing, record, type Recorded } from '../../src/http/write/record.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import type { Actor } from '../../src/ledger/model.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { PatientService } from '../../src/patient/patient.service.js';
import { RetentionService } from '../../src/patient/retention.service.js';
import { PrescribingService } from '../../src/prescribing/prescribing.service.js';
import { orderName, prescriptionModel, supplyModel } from '../../src/prescription/chain-models.js';
import { Reconciler } from '../../src/reconciliation/reconciler.js';
import { LISINOPRIL, tablets } from '../support/api.js';
import { context, importOrder } from '../support/domain.js';
import { PHARMACIES, PRACTICES, type Running, type World } from './access-world.js';

/** What somebody does; numbers say which of those that are there. */
const which = fc.nat({ max: 1000 });
const number = fc.constantFrom('A1', 'A2', 'A3', 'A4', 'A5');
export const moves = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('issue' as const),
      practice: which,
      patient: which,
      number,
      nominated: fc.option(which),
      refills: fc.nat({ max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('import' as const), practice: which, patient: which, number }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel-number' as const), practice: which, number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), practice: which, rx: which }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('claim' as const), pharmacy: which, rx: which, token: fc.boolean() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('release' as const, 'dispense' as const, 'not-dispensed' as const, 'reverse' as const),
      rx: which,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      pharmacy: which,
      practice: fc.option(which),
      number,
      patient: fc.option(which),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('match' as const), by: which, rx: which, supply: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dose' as const), patient: which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('break-glass' as const), by: which, patient: which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('erase' as const), patient: fc.constant(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('judge' as const), rx: which }) },
);
export type Move = typeof moves extends fc.Arbitrary<infer M> ? M : never;

const of = <T>(all: readonly T[], at: number): T | undefined => all[at % Math.max(1, all.length)];

/** @param opened where the chain's id is noted @returns `ok` or the refusal's code */
async function done(doing: Promise<Recorded<{ readonly id: string }>>, opened?: string[]): Promise<string> {
  try {
    const { state } = await doing;
    if (opened && !opened.includes(state.id)) opened.push(state.id);
    return 'ok';
  } catch (error) {
    if (error instanceof RefusalException) return error.refusal.code;
    throw error;
  }
}

/** Does it. @returns what came of it in a word: a refusal's code, or `ok`; null when there is nothing to do it to */
export async function make({ app }: Running, world: World, move: Move): Promise<string | null> {
  const rx = 'rx' in move ? of(world.prescriptions, move.rx) : undefined;
  const practice = (at: number) => of(world.practices, at) as string;
  const prescriber = (at: number) => of(world.actors.slice(0, PRACTICES), at) as Actor;
  const pharmacist = (at: number) => of(world.actors.slice(PRACTICES, PRACTICES + PHARMACIES), at) as Actor;
  const patient = (at: number) => of(world.patients, at) as string;
  /** By the pharmacy that holds it. */
  const held = async (id: string): Promise<{ actor: Actor; secret: string } | null> => {
    for (const actor of [0, 1, 2].map(pharmacist)) {
      const shown = await app
        .get(DispensingService)
        .recover(actor, id)
        .catch(() => null);
      if (shown) return { actor, secret: shown.secret };
    }
    return null;
  };
  switch (move.do) {
    case 'issue': {
      const nominated = move.nominated === null ? null : (of(world.pharmacies, move.nominated) ?? null);
      const order = {
        number: move.number,
        patient: patient(move.patient),
        medication: LISINOPRIL,
        directions: 'one in the morning',
        quantity: tablets('30'),
        daysSupply: 30,
        refills: move.refills,
        substitutionAllowed: true,
        writtenOn: null,
        earliestFillOn: null,
        nominatedPharmacy: nominated,
        note: null,
      };
      return done(app.get(PrescribingService).issue({ actor: prescriber(move.practice) }, order), world.prescriptions);
    }
    case 'import': {
      const name = { issuer: practice(move.practice), number: move.number };
      const step = importOrder({ name, patient: patient(move.patient), medication: LISINOPRIL });
      const subject = { subject: patient(move.patient) };
      const otherwise = {
        id: randomUUID(),
        model: prescriptionModel,
        mode: 'new' as const,
        subject,
        adopt: true as const,
      };
      const chains = [{ name: orderName(name), otherwise }, existing(patientModel, subject.subject)] as const;
      const imported = record(app.get(LedgerWriter), { actor: step.by }, chains, ([known], ctx) =>
        step.decide(known, { ...context(step.by), ...ctx }),
      );
      return done(imported, world.prescriptions);
    }
    case 'cancel-number': {
      const said = { number: move.number, reason: 'clinical-change' as const, note: null };
      const doing = app.get(PrescribingService).cancelByNumber({ actor: prescriber(move.practice) }, said);
      return done(doing, world.prescriptions);
    }
    case 'report': {
      const order = move.practice === null ? null : { issuer: practice(move.practice), number: move.number };
      const report = {
        order,
        patient: move.patient === null ? null : patient(move.patient),
        issue: null,
        medication: LISINOPRIL,
        quantity: tablets('30'),
        daysSupply: 30,
        whenHandedOver: new Date(Date.now() - 60_000).toISOString(),
        reason: 'outage' as const,
        note: null,
        dispenseId: null,
      };
      const doing = app.get(SuppliesService).report({ actor: pharmacist(move.pharmacy) }, report);
      return done(doing, order === null ? world.supplies : world.prescriptions);
    }
    case 'dose': {
      const by = world.actors.find((actor) => actor.patient === patient(move.patient)) as Actor;
      const dose = { doseId: null, at: null, outcome: 'taken' as const, quantity: null };
      return done(app.get(AdherenceService).recordSupplied({ actor: by }, null, LISINOPRIL, dose), world.supplies);
    }
    case 'break-glass': {
      const by = of(world.actors.slice(0, PRACTICES + PHARMACIES), move.by) as Actor;
      return done(app.get(PatientService).breakGlass({ actor: by }, patient(move.patient), 'unconscious'));
    }
    case 'erase': {
      const administrator = world.actors.find(({ role }) => role === 'administrator') as Actor;
      const erased = app.get(RetentionService).erase({ actor: administrator }, patient(move.patient), 'request');
      return erased.then(
        () => 'ok',
        (error: { refusal: { code: string } }) => error.refusal.code,
      );
    }
    default:
  }
  if (rx === undefined) return null;
  const view = await app.get(LedgerReader).chain(rx, prescriptionModel);
  if (!view) return null;
  const dispensing = app.get(DispensingService);
  switch (move.do) {
    case 'cancel':
      return done(
        app
          .get(PrescribingService)
          .cancel({ actor: prescriber(move.practice) }, rx, { reason: 'clinical-change', note: null }),
      );
    case 'claim': {
      const token = move.token ? app.get(PrescribingService).tokenOf(view.state) : null;
      return done(dispensing.claim({ actor: pharmacist(move.pharmacy) }, rx, { token }));
    }
    case 'match': {
      const supply = of(world.supplies, move.supply);
      const reported = supply === undefined ? null : await app.get(LedgerReader).chain(supply, supplyModel);
      if (!reported) return null;
      // Mostly by somebody who may: else nearly every match would be refused.
      const [someone, reporter, own] = [
        of(world.actors, move.by),
        world.actors.find(({ org }) => org !== null && org === reported.state.pharmacy),
        world.actors.find(({ patient: who }) => who !== null && who === view.state.order?.patient),
      ];
      const by = of([someone, reporter, reporter, own, own], move.by) ?? someone;
      return done(app.get(SuppliesService).match({ actor: by as Actor }, reported.id, rx));
    }
    case 'judge':
      await app.get(Reconciler).reconcile(view.subjectNumber);
      return 'ok';
    case 'reverse': {
      const dispense = view.state.dispenses.at(-1);
      const by = world.actors.find(({ org }) => org !== null && org === dispense?.pharmacy);
      return dispense && by
        ? done(dispensing.reverse({ actor: by }, rx, { dispenseId: dispense.dispenseId, reason: 'not-collected' }))
        : null;
    }
    default:
  }
  const holder = await held(rx);
  if (!holder) return null;
  const { actor, secret } = holder;
  switch (move.do) {
    case 'release':
      return done(dispensing.release({ actor }, rx, { secret, reason: 'out-of-stock' }));
    case 'not-dispensed':
      return done(dispensing.notDispensed({ actor }, rx, { secret, reason: 'not-collected' }));
    default: {
      const dispense = { secret, medication: LISINOPRIL, quantity: tablets('30'), daysSupply: 30, note: null };
      return done(dispensing.dispense({ actor }, rx, { ...dispense, dispenseId: null, whenHandedOver: null }));
    }
  }
}

/** A life in which everything goes well once. */
export const ALL_GOES_WELL: Move[] = [
  { do: 'cancel-number', practice: 1, number: 'A1' },
  { do: 'issue', practice: 0, patient: 0, number: 'A1', nominated: 0, refills: 1 },
  { do: 'report', pharmacy: 0, practice: null, number: 'A1', patient: null },
  { do: 'match', by: 1, rx: 1, supply: 0 },
  { do: 'dose', patient: 0 },
  { do: 'match', by: 3, rx: 1, supply: 1 },
  { do: 'claim', pharmacy: 1, rx: 1, token: true },
  { do: 'release', rx: 1 },
  { do: 'claim', pharmacy: 0, rx: 1, token: false },
  { do: 'dispense', rx: 1 },
  { do: 'reverse', rx: 1 },
  { do: 'not-dispensed', rx: 1 },
  { do: 'cancel', practice: 0, rx: 1 },
  { do: 'report', pharmacy: 2, practice: 1, number: 'A3', patient: 1 },
  { do: 'import', practice: 1, patient: 1, number: 'A3' },
  { do: 'report', pharmacy: 2, practice: 0, number: 'A1', patient: null },
  { do: 'judge', rx: 1 },
  { do: 'judge', rx: 2 },
  { do: 'break-glass', by: 4, patient: 0 },
  { do: 'issue', practice: 0, patient: 2, number: 'A4', nominated: 1, refills: 0 },
  { do: 'erase', patient: 2 },
];
