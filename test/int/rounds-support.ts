/** A log whose checkpoints are published and submitted by hand, and its witnesses, honest or not. */
import { randomUUID } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { afterEach } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import type { Policy } from '../../src/ledger/core/tlog/policy.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { Published } from '../../src/log/checkpoints/published.js';
import { Publisher } from '../../src/log/checkpoints/publisher.js';
import { Rounds } from '../../src/log/checkpoints/rounds.js';
import { loadWitnessPolicy } from '../../src/log/checkpoints/witness-policy.js';
import { Witnessing, type WitnessingState } from '../../src/log/checkpoints/witness-readiness.js';
import { ServedCheckpoint } from '../../src/log/checkpoints/served.js';
import { readContacts } from '../../src/log/checkpoints/cosignatures.js';
import { cosign, witnessOf } from '../fixtures/witnesses.js';
import { count, openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';
import { until } from '../support/wait.js';
import {
  type Lie,
  logVkey,
  type LyingWitness,
  type PolicyLine,
  type RunningWitness,
  startLiar,
  startWitness,
  writePolicy,
} from '../support/witnesses.js';

/** Closed after each test, the last first. */
export const closers: (() => unknown)[] = [];
Logger.overrideLogger(false);
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

export interface Log {
  readonly config: Config;
  readonly ledger: Ledger;
  readonly published: Published;
}

/** @param keys folder of keys to begin with: a log with the same key as another's */
export async function openLog(env: Record<string, string> = {}, keys?: string): Promise<Log> {
  const folder = temporaryFolder();
  closers.push(() => folder.remove());
  if (keys !== undefined) cpSync(keys, join(folder.path, 'keys'), { recursive: true });
  const config = testConfig(folder.path, { PUBLISH_SECONDS: '0.05', ...env });
  const ledger = await openTestLedger(config);
  closers.push(() => ledger.close());
  return { config, ledger, published: new Published(ledger.db) };
}

/** Adds entries and publishes their checkpoint. @returns its size */
export async function publish({ config, ledger, published }: Log, entries: number): Promise<number> {
  const some = Array.from({ length: entries }, () => count(randomUUID(), 1));
  const before = (await published.newest())?.size ?? 0;
  await Promise.all(some.map((each) => ledger.writer.commit(each)));
  const publisher = new Publisher(config, new Clock(), ledger.writer, ledger.db, published);
  await publisher.onApplicationBootstrap();
  await until(() => published.reaches(before + entries), { what: 'published' });
  await publisher.beforeApplicationShutdown();
  return before + entries;
}

export interface Witnessed {
  readonly policy: Policy;
  readonly rounds: Rounds;
  readonly served: ServedCheckpoint;
  readonly state: () => Promise<WitnessingState>;
}

export function witnessing(log: Log, witnesses: readonly PolicyLine[], threshold: number): Witnessed {
  const { config, ledger, published } = log;
  const path = writePolicy(config.dataDir, ledger.writer.vkey, witnesses, threshold);
  const policy = loadWitnessPolicy(path, ledger.writer.vkey);
  const rounds = new Rounds(policy, published, ledger.db, ledger.writer, new Clock());
  closers.push(() => rounds.stop());
  const served = new ServedCheckpoint(ledger.db, ledger.writer, published, policy);
  const readiness = new Witnessing(config, ledger.db, published, served, policy);
  return { policy: policy.policy, rounds, served, state: () => readiness.state(Date.now()) };
}

/** Three of our witnesses. */
export async function three({ config }: Log): Promise<[RunningWitness, RunningWitness, RunningWitness]> {
  const start = async (name: string): Promise<RunningWitness> => {
    const witness = await startWitness(name, logVkey(config.dataDir));
    closers.push(() => witness.remove());
    return witness;
  };
  return [await start('w1'), await start('w2'), await start('w3')];
}

export async function liar(n: number, lie: Lie): Promise<LyingWitness & PolicyLine> {
  const server = await startLiar(lie);
  closers.push(() => server.close());
  return Object.assign(server, { name: `liar${n}`, vkey: witnessOf(n).vkey });
}

export const now = (): bigint => BigInt(Math.floor(Date.now() / 1000));
/** The checkpoint in a submission. */
export const noteIn = (body: string): string => body.slice(body.indexOf('\n\n') + 2);
/** What an honest witness with that key says to a submission. */
export const linesOf = (note: string, n: number): string => {
  const signed = cosign(note, witnessOf(n), now());
  return signed.slice(note.length);
};
/** A witness that cosigns whatever it is sent. */
export const honest = (n: number): Promise<LyingWitness & PolicyLine> =>
  liar(n, ({ body, response }) => response.end(linesOf(noteIn(body), n)));
export const failureOf = async ({ ledger }: Log, { vkey }: PolicyLine): Promise<string | null | undefined> =>
  (await readContacts(ledger.db, [vkey]))[0]?.failure;
export const rowsOf = ({ ledger }: Log): Promise<{ size: number; witness: string }[]> =>
  ledger.db.query('SELECT size, witness FROM cosignature ORDER BY size, witness');
