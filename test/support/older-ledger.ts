/** A small ledger with chains of every kind, and the fixture made from it. */
import { chmodSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { accept, SYSTEM } from '../../src/ledger/model.js';
import type { ChainModel, Command, Decision } from '../../src/ledger/model.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { decideEnrol } from '../../src/patient/decide.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { prescriptionModel, supplyModel } from '../../src/prescription/chain-models.js';
import type { Prescription } from '../../src/prescription/state.js';
import {
  ADMINISTRATOR,
  claim,
  context,
  DOCTOR,
  dispense,
  issue,
  NOON,
  PHARMACY_A,
  PHARMACY_B,
  report,
  type Step,
  ZONE,
} from './domain.js';

/** Recording time of its first event. */
export const BEGUN = Date.parse(NOON);

export const idOf = (n: number): string => `0b6c4a7e-0000-4000-8000-${String(n).padStart(12, '0')}`;
const PATIENTS = [1, 2, 3];
/** Numbers of the prescriptions, also used as order numbers. */
export const PRESCRIPTIONS = Array.from({ length: 12 }, (_, n) => n + 10);
export const patientOf = (n: number): string => idOf(1 + (n % 3));

/** One step on a prescription. @param n number of the prescription */
export function stepOn(n: number, step: Step, model: ChainModel = prescriptionModel): Command {
  const chain = idOf(n);
  const subject = { subject: patientOf(n) };
  return {
    actor: step.by,
    chains: [{ id: chain, model, mode: 'either', subject }],
    decide: ({ states, now }) => step.decide(states[0] as Prescription | null, { ...context(step.by), chain, now }),
  };
}

/** An order dated today. */
export function issueOf(n: number, model?: ChainModel): Command {
  const today = new Intl.DateTimeFormat('en-CA', { timeZone: ZONE });
  const name = { issuer: 'practice', number: String(n) };
  const decide: Step['decide'] = (rx, ctx) =>
    issue({ name, patient: patientOf(n), refills: n % 3, writtenOn: today.format(ctx.now) }).decide(rx, ctx);
  return stepOn(n, { by: DOCTOR, at: null, decide }, model);
}

/** Three patients (one erased), twelve prescriptions, a supply and a discrepancy. */
export async function fillLedger({ writer }: Ledger): Promise<void> {
  let key = 0;
  const put = async (command: Command): Promise<void> => {
    const idempotency = { client: command.actor.id, key: `key-${key++}`, request: 'r' };
    const outcome = await writer.commit({ ...command, idempotency });
    if (!outcome.ok) throw new Error(outcome.refusal.code);
  };
  for (const n of PATIENTS) {
    const id = idOf(n);
    const patient = {
      name: `Patient ${n}`,
      birthDate: '1970-02-28',
      address: null,
      identifiers: [{ system: 'https://clinic.example/mrn', value: `M-${n}` }],
      source: null,
    };
    await put({
      actor: DOCTOR,
      chains: [{ id, model: patientModel, mode: 'new', subject: { newSubject: id } }],
      decide: ({ now }) => decideEnrol(null, patient, { chain: id, now, actor: DOCTOR }),
    });
  }
  for (const n of PRESCRIPTIONS) {
    await put(issueOf(n));
    if (n % 2 === 0) await put(stepOn(n, claim(n % 4 === 0 ? PHARMACY_A : PHARMACY_B)));
    if (n % 4 === 0) await put(stepOn(n, dispense('30', `d${n}`)));
  }
  const supply = idOf(50);
  const handedOver = report('30', 'd50', { order: null }, PHARMACY_B);
  await put({
    actor: PHARMACY_B,
    chains: [{ id: supply, model: supplyModel, mode: 'new', subject: { newSubject: idOf(51) } }],
    decide: ({ now }): Decision => handedOver.decide(null, { ...context(PHARMACY_B), chain: supply, now }),
  });
  await put({
    actor: SYSTEM,
    chains: [{ id: idOf(1), model: patientModel, mode: 'existing' }],
    decide: () =>
      accept({
        chain: idOf(1),
        type: 'discrepancy.opened/1',
        data: {
          chain: idOf(12),
          class: 'D07',
          side: 'both',
          id: 'D07:AAECAwQFBgcICQoLDA0ODw',
          orgs: ['practice', 'pharmacy-a'],
          evidence: { kind: 'over-dispense', authorised: '30', dispensed: '60', unit: '{tablet}', dispenses: ['d12'] },
        },
        derived: {},
      }),
  });
  const erased = await writer.erase(idOf(3), ADMINISTRATOR, { reason: 'request' });
  if (!erased.ok) throw new Error(erased.refusal.code);
}

/** Relative to the repository, so that files in `dist` find it too. */
const FIXTURE = join(process.cwd(), 'test/fixtures/older-ledger');

/** Copies the fixture and restricts access to its test keys, since Git does not store file permissions. */
export function copyOlderLedger(folder: string): void {
  cpSync(FIXTURE, folder, { recursive: true });
  for (const file of readdirSync(join(folder, 'keys'))) chmodSync(join(folder, 'keys', file), 0o600);
}
