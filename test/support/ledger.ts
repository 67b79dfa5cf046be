import type { JsonObject } from '../../src/ledger/core/record/event.js';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../src/time/clock.js';
import { Config } from '../../src/config/config.js';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { patientModel } from '../../src/patient/chain-model.js';
import type { Actor, ChainModel, ChainRef, Command, Outcome } from '../../src/ledger/model.js';
import { refuse } from '../../src/ledger/model.js';
import { openLedger, type Ledger } from '../../src/ledger/start/open-ledger.js';
import type { ReportFault } from '../../src/ledger/unavailable.js';

/** A temporary folder; `remove` deletes it. */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'rxledger-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Whether {@link openFiles} works on this platform. */
export const tellsOpenFiles = process.platform === 'linux';

/** Paths of the files below this folder that this process holds open. */
export function openFiles(folder: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${folder}/`) ? [path] : [];
    } catch {
      // The descriptor used for reading this directory is closed by now.
      return [];
    }
  });
}

export function testConfig(dataDir: string, env: Record<string, string> = {}): Config {
  return Config.parse({ DATA_DIR: dataDir, LOG_ORIGIN: 'test.example/log', LOG_LEVEL: 'silent', ...env });
}

/** A chain that counts: the smallest model with a state, a read model and a name. */
export interface Counter {
  label: string;
  total: number;
}
export const counterModel: ChainModel<Counter> = {
  kind: 'patient',
  stateVersion: patientModel.stateVersion,
  rowsVersion: patientModel.rowsVersion,
  readModels: patientModel.readModels,
  evolve: (state, event) => {
    const by = event.data['by'];
    if (typeof by !== 'number') throw new Error('by is not a number');
    return { label: state?.label ?? (event.data['label'] as string), total: (state?.total ?? 0) + by };
  },
  rows: (state, { chain }) => [{ table: 'patient_row', values: { chain, enrolled_at: state.total } }],
  names: (state) => [{ domain: 'counter', parts: [state.label] }],
  subject: (_state, { chain }) => ({ subject: chain }),
};

/**
 * The service's models, with counters in place of patients. Tables and version are the service's, so that the service
 * can open such a ledger.
 */
export const COUNTING: readonly ChainModel[] = CHAIN_MODELS.map((model) =>
  model.kind === counterModel.kind ? counterModel : model,
);

export const testActor: Actor = {
  id: '11111111-1111-4111-8111-111111111111',
  role: 'pharmacist',
  org: '22222222-2222-4222-8222-222222222222',
  patient: null,
};

export function counterRef(id: string, mode: ChainRef['mode'] = 'either'): ChainRef {
  return { id, model: counterModel, mode, subject: { newSubject: id } };
}

/** Adds to a counter; refuses to go below zero. */
export function count(
  id: string,
  by: number,
  more: Partial<Command> & { label?: string; data?: JsonObject } = {},
): Command {
  const { label = id, data = {}, ...rest } = more;
  return {
    actor: testActor,
    chains: [counterRef(id)],
    decide: ({ states, ids }) => {
      const state = states[0] as Counter | null;
      if ((state?.total ?? 0) + by < 0) return refuse('counter.below-zero', { total: state?.total ?? 0 });
      return {
        events: [{ chain: ids[0] as string, type: 'counter.moved/1', data: { by, label, ...data }, derived: {} }],
      };
    },
    ...rest,
  };
}

export function openTestLedger(config: Config, clock = new Clock(), report?: ReportFault): Promise<Ledger> {
  return openLedger(config, clock, COUNTING, report);
}

/** Opens the ledger for a piece of work. */
export async function opened<T>(config: Config, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const ledger = await openTestLedger(config);
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

export type Good = Extract<Outcome, { ok: true }>;

/** @throws {Error} when it is a refusal */
export function good(outcome: Outcome): Good {
  if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.code}`);
  return outcome;
}

/** New chain ids. */
export const fresh = (many: number): string[] => Array.from({ length: many }, () => randomUUID());
