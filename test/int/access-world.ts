/** Organisations, patients and people on a running service, each life's own. */
import { randomUUID } from 'node:crypto';
import type { INestApplicationContext } from '@nestjs/common';
import { afterAll, beforeAll } from 'vitest';
import { SettableClock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { Organisations } from '../../src/identity/organisations.js';
import { type Actor, SYSTEM } from '../../src/ledger/model.js';
import { serve } from '../../src/main.js';
import { PatientService } from '../../src/patient/patient.service.js';
import type { Engine } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';

const ZONE = 'America/New_York';
export const PRACTICES = 2;
export const PHARMACIES = 3;
export const PATIENTS = 3;

export interface Running {
  readonly app: INestApplicationContext;
  readonly clock: SettableClock;
  readonly config: Config;
  close(): Promise<void>;
}

/** @param env of an engine; without `REDIS_URL` nothing is judged but what a move asks for */
export async function startService(env: Record<string, string> = {}): Promise<Running> {
  const folder = temporaryFolder();
  const clock = new SettableClock(Date.now());
  const config = Config.parse({ DATA_DIR: folder.path, PORT: '0', LOG_LEVEL: 'silent', ...env });
  const service = await serve(config, clock);
  return {
    app: service.app,
    clock,
    config,
    async close() {
      await service.close();
      folder.remove();
    },
  };
}

/** The service that the tests of a `describe` share. @returns it, once they run; none where the engine is missing */
export function sharedService({ missing, database }: Engine): () => Running {
  let running: Running | null = null;
  beforeAll(async () => {
    if (missing === null) running = await startService(await database());
  });
  afterAll(() => running?.close());
  return () => running!;
}

/** A world of one life: organisations, patients and people that no other life knows. */
export interface World {
  readonly practices: readonly string[];
  readonly pharmacies: readonly string[];
  readonly patients: readonly string[];
  readonly actors: readonly Actor[];
  /** Ids of the chains that were opened, oldest first. */
  readonly prescriptions: string[];
  readonly supplies: string[];
}

const person = (role: Actor['role'], org: string | null, patient: string | null = null): Actor => ({
  id: randomUUID(),
  role,
  org,
  patient,
});

export async function newWorld({ app }: Running): Promise<World> {
  const organisations = app.get(Organisations);
  const create = async (kind: 'practice' | 'pharmacy'): Promise<string> => {
    const made = await organisations.create({ kind, name: kind, zone: ZONE, npi: null });
    if ('refusal' in made) throw new Error(made.refusal.code);
    return made.ref;
  };
  const practices = await Promise.all(Array.from({ length: PRACTICES }, () => create('practice')));
  const pharmacies = await Promise.all(Array.from({ length: PHARMACIES }, () => create('pharmacy')));
  const enrol = async () => {
    const identifiers = [{ system: 'urn:test', value: randomUUID() }];
    const patient = { name: 'Somebody', birthDate: null, identifiers, address: null };
    const by = { actor: person('administrator', null) };
    return (await app.get(PatientService).enrol(by, patient)).state.id;
  };
  const patients = await Promise.all(Array.from({ length: PATIENTS }, enrol));
  const actors = [
    ...practices.map((org) => person('prescriber', org)),
    ...pharmacies.map((org) => person('pharmacist', org)),
    ...patients.map((patient) => person('patient', null, patient)),
    person('auditor', null),
    person('administrator', null),
    SYSTEM,
    // Nobody has such an account; the rules stand on role and organisation together all the same.
    person('prescriber', null),
    person('pharmacist', null),
    person('patient', null),
    ...pharmacies.slice(0, 1).map((org) => person('prescriber', org)),
    ...practices.slice(0, 1).map((org) => person('pharmacist', org)),
  ];
  return { practices, pharmacies, patients, actors, prescriptions: [], supplies: [] };
}
