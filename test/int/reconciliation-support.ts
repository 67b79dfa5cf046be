/** A running reconciliation on a ledger of its own, and the commands that fill its books. */
import { ReadDb } from '../../src/ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SettableClock } from '../../src/time/clock.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { Config } from '../../src/config/config.js';
import { HealthModule } from '../../src/http/health/health.module.js';
import { MetricsModule } from '../../src/http/metrics/metrics.module.js';
import { LedgerModule } from '../../src/ledger/ledger.module.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { LedgerWriter } from '../../src/ledger/ledger.writer.js';
import {
  type ChainRef,
  type CommittedEvent,
  type NamedChainRef,
  type Outcome,
  SYSTEM,
} from '../../src/ledger/model.js';
import { decideEnrol } from '../../src/patient/decide.js';
import { patientModel } from '../../src/patient/chain-model.js';
import type { DiscrepancyState } from '../../src/patient/state.js';
import { orderName, prescriptionModel, supplyModel } from '../../src/prescription/chain-models.js';
import type { Prescription, Supply } from '../../src/prescription/state.js';
import { Jobs } from '../../src/reconciliation/jobs.js';
import { ReconciliationModule } from '../../src/reconciliation/reconciliation.module.js';
import { Workers } from '../../src/reconciliation/workers.js';
import { context, type Step } from '../support/domain.js';
import { until } from '../support/wait.js';

export const NOW = '2026-01-15T17:00:00.000Z';

@Module({})
class Root {}

export type Running = {
  readonly app: INestApplicationContext;
  readonly clock: SettableClock;
  readonly writer: LedgerWriter;
  readonly reader: LedgerReader;
  readonly db: ReadDb;
  readonly workers: Workers;
  readonly jobs: Jobs;
  readonly dataDir: string;
  close(): Promise<void>;
};

export async function newDataDir(): Promise<{ dataDir: string; remove(): Promise<void> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rxledger-reconciliation-'));
  return { dataDir, remove: () => rm(dataDir, { recursive: true, force: true }) };
}

/** @param now where the clock stands; PostgreSQL refuses a writer whose clock is off its own */
export async function start(
  dataDir: string,
  env: Record<string, string>,
  now: number = Date.parse(NOW),
): Promise<Running> {
  const clock = new SettableClock(now);
  const config = Config.parse({ DATA_DIR: dataDir, RELAY_POLL_SECONDS: '0.1', ...env });
  const app = await NestFactory.createApplicationContext(
    {
      module: Root,
      imports: [
        ConfigModule.with(config, clock),
        LedgerModule.with([prescriptionModel, supplyModel, patientModel]),
        HealthModule,
        MetricsModule,
        ReconciliationModule,
      ],
    },
    { logger: false, abortOnError: false },
  );
  return {
    app,
    clock,
    writer: app.get(LedgerWriter),
    reader: app.get(LedgerReader),
    db: app.get(ReadDb),
    workers: app.get(Workers),
    jobs: app.get(Jobs),
    dataDir,
    close: () => app.close(),
  };
}

/** Waits until every entry so far was handed over and judged. */
export async function settled({ workers }: Running, timeout = 30_000): Promise<void> {
  await until(() => workers.settled(), { timeout, what: 'every entry judged' });
}

function accepted(outcome: Outcome): Outcome & { ok: true } {
  if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.code}`);
  return outcome;
}

/** @returns the patient's id */
export async function enrol({ writer }: Running): Promise<string> {
  const id = randomUUID();
  const command = { name: 'Somebody', birthDate: null, identifiers: [], address: null, source: null };
  accepted(
    await writer.commit({
      actor: SYSTEM,
      chains: [{ id, model: patientModel, mode: 'new', subject: { newSubject: id } }],
      decide: ({ states, now }) => decideEnrol(states[0] as null, command, { chain: id, now, actor: SYSTEM }),
    }),
  );
  return id;
}

export type Target =
  /** The order of that number, of this patient; null: it opens under a provisional one when it is not known. */
  | { readonly number: string; readonly patient: string | null; readonly issuer?: string }
  /** A supply of nobody known. */
  | { readonly supply: string };

/** Does what the step says on an order, found by its number, or on a supply. @returns the chain's id */
export async function tell({ writer }: Pick<Running, 'writer'>, target: Target, step: Step): Promise<string> {
  const outcome = await writer.commit({
    actor: step.by,
    chains: [refOf(target)],
    decide: ({ states, ids, now }) =>
      step.decide(states[0] as Prescription | null, {
        ...context(step.by),
        chain: ids[0] ?? '',
        now: step.at === null ? now : Date.parse(step.at),
      }),
  });
  return accepted(outcome).ids[0] ?? '';
}

function refOf(target: Target): ChainRef | NamedChainRef {
  if ('supply' in target) {
    return { id: target.supply, model: supplyModel, mode: 'either', subject: { newSubject: randomUUID() } };
  }
  const subject = target.patient === null ? { newSubject: randomUUID() } : { subject: target.patient };
  return {
    name: orderName({ issuer: target.issuer ?? 'practice', number: target.number }),
    otherwise: { id: randomUUID(), model: prescriptionModel, mode: 'new', subject },
  };
}

/** Says that a supply was for this order of this patient. */
export async function match(running: Running, supply: string, prescription: string, patient: string): Promise<void> {
  accepted(
    await running.writer.commit({
      actor: SYSTEM,
      chains: [{ id: supply, model: supplyModel, mode: 'existing', subject: { subject: patient }, adopt: true }],
      decide: ({ states }) => ({
        events: (states[0] as Supply).matchedTo
          ? []
          : [{ chain: supply, type: 'supply.matched/1', data: { prescription }, derived: {} }],
      }),
    }),
  );
}

/** Id of the subject that a chain belongs to now. */
export async function subjectOf({ db }: Running, chain: string): Promise<string> {
  const [row] = await db.query<{ id: string }>(
    'SELECT s.id FROM chain c JOIN subject s ON s.num = c.subject WHERE c.id = ?',
    [chain],
  );
  return row?.id ?? '';
}

/** All discrepancies on a patient chain, or on a provisional patient's. */
export async function discrepancies({ reader }: Running, patient: string): Promise<DiscrepancyState[]> {
  return (await reader.chain(patient, patientModel))?.state.discrepancies ?? [];
}

export async function discrepancyEvents({ reader }: Running, patient: string): Promise<CommittedEvent[]> {
  return (await reader.events(patient)).filter(({ type }) => type.startsWith('discrepancy.'));
}

/** Chains of prescriptions and supplies whose newest entry nobody has judged. */
export async function unjudged({ db }: Running): Promise<number> {
  const [row] = await db.query<{ n: number }>(
    `SELECT count(*) AS n FROM chain c LEFT JOIN judged j ON j.chain = c.num
     WHERE c.kind IN ('prescription', 'supply') AND (j.seq IS NULL OR j.seq <> c.seq)`,
  );
  return row?.n ?? -1;
}
