/**
 * The rules of access stand twice, on states and in SQL (`src/access`): whatever people did, and whoever asks, both say
 * the same. Lives are committed through the services, so that subjects, names and adoptions are what they really are.
 */
import { ReadDb } from '../../src/ledger/read/read-db.js';
import type { INestApplicationContext } from '@nestjs/common';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relatedToChain } from '../../src/access/related-chains.js';
import { isGranted, relationsTo, relationsToPatient, relationsToSupply } from '../../src/access/relations.js';
import { PatientAccess } from '../../src/access/patient-access.js';
import { PrescriptionAccess } from '../../src/access/prescription-access.js';
import { SuppliesService } from '../../src/dispensing/supplies.service.js';
import { RefusalException } from '../../src/http/problem/problem.js';
import { type Action, may, type Relation } from '../../src/identity/guard/policy.js';
import { type ChainView, LedgerReader } from '../../src/ledger/ledger.reader.js';
import type { Actor, ChainModel } from '../../src/ledger/model.js';
import { patientModel } from '../../src/patient/chain-model.js';
import type { Patient } from '../../src/patient/state.js';
import { prescriptionModel, supplyModel } from '../../src/prescription/chain-models.js';
import { currentIssue } from '../../src/prescription/queries.js';
import type { Prescription, Supply } from '../../src/prescription/state.js';
import { DiscrepancyService, viewOf } from '../../src/reconciliation/discrepancy.service.js';
import { bothEngines } from '../support/engines.js';
import { ALL_GOES_WELL, make, type Move, moves } from './access-moves.js';
import { newWorld, type Running, sharedService, type World } from './access-world.js';
import { rounds } from '../support/length.js';

/** Short pages, so that most lists have several. */
const LIMIT = 3;

interface Book {
  readonly prescriptions: readonly ChainView<Prescription>[];
  readonly supplies: readonly ChainView<Supply>[];
  readonly patients: readonly ChainView<Patient>[];
}

/** The chains that are still there, oldest first, their states folded from their events. */
async function bookOf(reader: LedgerReader, world: World): Promise<Book> {
  const folded = async <S>(ids: readonly string[], model: ChainModel<S>): Promise<ChainView<S>[]> => {
    const views: ChainView<S>[] = [];
    for (const id of ids) {
      const view = await reader.chain(id, model);
      if (!view) continue;
      const state = (await reader.events(id)).reduce<S | null>((before, event) => model.evolve(before, event), null);
      views.push({ ...view, state: state as S });
    }
    return views.toSorted((a, b) => a.number - b.number);
  };
  return {
    prescriptions: await folded(world.prescriptions, prescriptionModel),
    supplies: await folded(world.supplies, supplyModel),
    patients: await folded(world.patients, patientModel),
  };
}

/** All items of a list, page by page; every page but the last is full. */
async function whole<T>(
  page: (after: string | undefined) => Promise<{ items: T[]; next: string | null }>,
): Promise<T[]> {
  const items: T[] = [];
  for (let after: string | undefined; ;) {
    const found = await page(after);
    items.push(...found.items);
    if (found.next === null) return items;
    expect(found.items).toHaveLength(LIMIT);
    after = found.next;
  }
}

const idsOf = (views: readonly { readonly id: string }[]): string[] => views.map(({ id }) => id);

/** @returns whether it was answered; a refusal is the one of what is not there */
async function answered(reading: Promise<unknown>): Promise<boolean> {
  return reading.then(
    () => true,
    (error: unknown) => {
      expect(error).toBeInstanceOf(RefusalException);
      expect((error as RefusalException).refusal.code).toBe('ledger.chain-unknown');
      return false;
    },
  );
}

/** What is asked, and the book that says what is right. */
interface Asked extends Book {
  readonly app: INestApplicationContext;
  readonly now: number;
}

/** What states say of the actor's relations, chain by chain. */
function related({ prescriptions, supplies, patients }: Asked, actor: Actor): { id: string; relations: Relation[] }[] {
  const states = prescriptions.map(({ state }) => state);
  return [
    ...prescriptions.map(({ id, state }) => ({ id, relations: relationsTo(state, actor) })),
    ...supplies.map(({ id, state, subject }) => ({ id, relations: relationsToSupply(state, actor, subject) })),
    ...patients.map(({ id }) => ({ id, relations: relationsToPatient(id, states, actor) })),
  ];
}

async function askPrescriptions(asked: Asked, actor: Actor): Promise<void> {
  const access = asked.app.get(PrescriptionAccess);
  const mine = asked.prescriptions
    .filter(({ state }) => may(actor.role, 'prescription.list', relationsTo(state, actor)))
    .toReversed();
  const list = (filters: object) =>
    whole((after) => access.list(actor, { ...filters, limit: LIMIT, ...(after && { after: Number(after) }) }));
  expect(idsOf(await list({}))).toEqual(idsOf(mine));
  for (const status of ['active', 'cancelled'])
    expect(idsOf(await list({ status }))).toEqual(idsOf(mine.filter(({ state }) => state.status === status)));
  for (const issueStatus of ['ready', 'claimed', 'dispensed']) {
    const wanted = mine.filter(({ state }) => currentIssue(state)?.status === issueStatus);
    expect(idsOf(await list({ issueStatus }))).toEqual(idsOf(wanted));
  }
  for (const { id: patient } of asked.patients)
    expect(idsOf(await list({ patient }))).toEqual(idsOf(mine.filter(({ subject }) => subject === patient)));
  for (const { id, state } of asked.prescriptions) {
    const granted = asked.patients.some(
      (patient) => patient.id === state.order?.patient && isGranted(patient.state, actor, asked.now),
    );
    const relations = [...relationsTo(state, actor), ...(granted ? (['granted'] as const) : [])];
    for (const action of ['prescription.read', 'dose.read'] as const)
      expect(await answered(access.read(id, actor, action))).toBe(may(actor.role, action, relations));
  }
}

async function askSupplies(asked: Asked, actor: Actor): Promise<void> {
  const service = asked.app.get(SuppliesService);
  const mine = asked.supplies
    .filter(({ state, subject }) => may(actor.role, 'supply.read', relationsToSupply(state, actor, subject)))
    .toReversed();
  const found = await whole((after) => service.list(actor, { limit: LIMIT, ...(after && { after: Number(after) }) }));
  expect(idsOf(found)).toEqual(idsOf(mine));
  for (const { id } of asked.supplies)
    expect(await answered(service.read(id, actor))).toBe(mine.some((one) => one.id === id));
}

async function askPatients(asked: Asked, actor: Actor): Promise<void> {
  const access = asked.app.get(PatientAccess);
  const states = asked.prescriptions.map(({ state }) => state);
  for (const { id, state } of asked.patients) {
    const granted = isGranted(state, actor, asked.now);
    const relations = [...relationsToPatient(id, states, actor), ...(granted ? (['granted'] as const) : [])];
    expect(await answered(access.read(actor, id))).toBe(may(actor.role, 'patient.read', relations));
  }
}

async function askDiscrepancies(asked: Asked, actor: Actor): Promise<void> {
  const service = asked.app.get(DiscrepancyService);
  const found = await whole((after) => service.list(actor, { limit: LIMIT, ...(after && { after }) }));
  const { org } = actor;
  const mine = asked.patients.flatMap(({ state }) =>
    org === null || !may(actor.role, 'discrepancy.list', ['concerned'])
      ? []
      : state.discrepancies.flatMap(({ id }) => viewOf(state, id, org) ?? []),
  );
  // Provisional patients have discrepancies, too; their ids are not among the world's.
  const theirs = found.filter(({ patient }) => patient === null || asked.patients.some(({ id }) => id === patient));
  expect(new Set(idsOf(theirs))).toEqual(new Set(idsOf(mine)));
}

/** What one condition on a chain says, of all chains of this life. */
async function askChains(asked: Asked, actor: Actor): Promise<void> {
  const all = idsOf(related(asked, actor));
  if (all.length === 0) return;
  const among = `c.id IN (${all.map(() => '?').join(', ')})`;
  const actions = ['chain.head', 'receipt.read', 'payload.disclose'] as const;
  for (const action of actions) {
    const { text, values } = relatedToChain(actor, action);
    const rows = await asked.app
      .get(ReadDb)
      .query<{ id: string }>(`SELECT c.id FROM chain c WHERE ${among} AND (${text})`, [...all, ...values]);
    expect({ action, ids: new Set(idsOf(rows)) }).toEqual({ action, ids: new Set(allowed(asked, actor, action)) });
  }
}

function allowed(asked: Asked, actor: Actor, action: Action): string[] {
  return idsOf(related(asked, actor).filter(({ relations }) => may(actor.role, action, relations)));
}

/** Lives it, then asks as everybody. @returns what came of each move */
async function live(running: Running, life: readonly Move[]): Promise<string[]> {
  const world = await newWorld(running);
  const outcomes: string[] = [];
  for (const move of life) outcomes.push(`${move.do} ${await make(running, world, move)}`);
  const { app, clock } = running;
  const asked: Asked = { ...(await bookOf(app.get(LedgerReader), world)), app, now: clock.now() };
  for (const actor of world.actors) {
    await askPrescriptions(asked, actor);
    await askSupplies(asked, actor);
    await askPatients(asked, actor);
    await askDiscrepancies(asked, actor);
    await askChains(asked, actor);
  }
  return outcomes;
}

const lives = fc.array(moves, { minLength: 5, maxLength: 50, size: 'max' });

describe.each(await bothEngines())('relations on $engine', (engine) => {
  const service = sharedService(engine);
  const runs = engine.engine === 'SQLite' ? rounds(6, 15) : rounds(3, 6);

  it.skipIf(engine.missing)('are the same in SQL as on states, for every actor and chain', async () => {
    const running = service();
    for (const outcome of await live(running, ALL_GOES_WELL)) expect(outcome).toMatch(/ ok$/);
    await fc.assert(
      fc.asyncProperty(lives, async (life) => void (await live(running, life))),
      { numRuns: runs, endOnFailure: true },
    );
  });
});
