import { createServer } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { Config } from '../../config/config.js';
import { Calendar } from '../../demo/calendar.js';
import { castOf, ZONE } from '../../demo/cast.js';
import { StoryBroken } from '../../demo/client.js';
import { conclude, introduce, invite, type Summary } from '../../demo/leaflet.js';
import { PlayClock } from '../../demo/play-clock.js';
import { Stage } from '../../demo/stage.js';
import { tallyOf } from '../../demo/tally.js';
import { playThirtyDays } from '../../demo/thirty-days.js';
import { Transcript } from '../../demo/transcript.js';
import { createLogger } from '../../config/logging.js';
import { verifyReceipt } from '../../ledger/core/record/receipt.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { ReadDb } from '../../ledger/read/read-db.js';
import type { VerifyReport } from '../../ledger/verify/report.js';
import { type Service, serve } from '../../main.js';
import { forgetQueues } from '../../queue/forget-queues.js';
import { Queues } from '../../queue/queues.js';
import { newDemoFolder } from './demo-folders.js';
import { findRedis } from './redis-finder.js';
import { Signals } from '../signals.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';
import { runVerify } from '../ledger/verify.js';

export interface DemoOptions extends CommonOptions {
  readonly once?: boolean;
}

/**
 * The caller's settings that the demo uses. Its ledger is always new, in SQLite, and reachable from this machine only.
 */
const TAKEN_OVER = ['DATA_DIR', 'PORT', 'REDIS_URL', 'DEMO_PASSWORD', 'LOG_LEVEL'] as const;

/**
 * `rxledger demo`: plays thirty days on a ledger of its own and verifies it; then serves it until a signal comes.
 * With `once` it ends after the verification and leaves nothing running.
 */
export async function runDemo(options: DemoOptions, terminal: Terminal): Promise<ExitCode> {
  const taken = Object.fromEntries(TAKEN_OVER.map((name) => [name, terminal.env[name]]));
  const asked = Config.parse(taken);
  const folder = await newDemoFolder(asked.dataDir);
  const redis = await findRedis({
    url: asked.env.REDIS_URL,
    dataDir: folder,
    log: (line) => terminal.err(line),
    upTo: 'install',
  });
  try {
    const anyPort = !taken['PORT'] && (options.once || !(await isFree(asked.env.PORT)));
    const config = Config.parse({
      ...taken,
      DATA_DIR: folder,
      PORT: anyPort ? '0' : taken['PORT'],
      REDIS_URL: redis.url,
      SWEEP_SECONDS: '1',
      // Everybody signs in again on each day of the play, all from this machine.
      SIGN_IN_PER_MINUTE: '5000',
    });
    if (terminal.env['DATABASE_URL'])
      terminal.err('DATABASE_URL is not used: the demo has a SQLite ledger of its own.');
    return await demonstrate(config, options, terminal);
  } finally {
    await redis.stop();
  }
}

async function demonstrate(config: Config, { once, json }: DemoOptions, terminal: Terminal): Promise<ExitCode> {
  const calendar = new Calendar(Date.now(), ZONE);
  const clock = new PlayClock(calendar.instant(1, '08:00'));
  const logFile = pino.destination({ dest: join(config.dataDir, 'service.log'), sync: true, mode: 0o600 });
  const service = await serve(config, clock, createLogger(config, logFile));
  const signals = new Signals();
  const { address, signIns } = service;
  const queues = service.app.get(Queues).names;
  const transcript = new Transcript(json ? null : (line) => terminal.out(line), isColoured(terminal));
  try {
    introduce(transcript, calendar, config.dataDir);
    const cast = castOf(signIns, address ?? '', clock);
    const stage = new Stage(cast, calendar, transcript);
    await playThirtyDays(stage, service, calendar, clock, () => signals.any);
    const report = await verify(config, terminal, json !== true && terminal.watched);
    const summary = await summaryOf(config, service, stage, report);
    conclude(transcript, summary, report);
    if (!once) {
      clock.follow();
      invite(transcript, address ?? '', signIns, cast);
    }
    if (json) terminal.out(JSON.stringify(once ? summary : { ...summary, address, signIns: signIns.map(told) }));
    if (!once) await signals.closed;
    return summary.ok ? EXIT.ok : EXIT.finding;
  } catch (error) {
    // A signal closes the service, so requests under way fail.
    if (signals.any) terminal.err('The demo was stopped before its end.');
    else if (error instanceof StoryBroken) terminal.err(`rxledger: the demo went wrong: ${error.message}`);
    else throw error;
    return EXIT.finding;
  } finally {
    await (signals.any ? signals.closed : service.close());
    signals.ignore();
    await forgetQueues(config.env.REDIS_URL ?? '', queues);
  }
}

/** Verifies like `rxledger log verify <folder>`: read-only, while the service runs. */
async function verify({ dataDir }: Config, terminal: Terminal, progress: boolean): Promise<VerifyReport> {
  let said = '';
  await runVerify(dataDir, { json: true, progress }, { ...terminal, out: (line) => (said += line) });
  return JSON.parse(said) as VerifyReport;
}

async function summaryOf(
  { dataDir }: Config,
  { app }: Service,
  { receipts, notAsExpected }: Stage,
  { ok: verified, log, vkey, entries, chains }: VerifyReport,
): Promise<Summary> {
  const badReceipts = receipts.filter((receipt) => !verifyReceipt(receipt, vkey).ok).length;
  return {
    ok: verified && badReceipts === 0 && notAsExpected.length === 0,
    verified,
    ...(await tallyOf(app.get(LedgerReader), app.get(ReadDb))),
    log,
    vkey,
    entries,
    chains,
    receipts: receipts.length,
    badReceipts,
    notAsExpected,
    dataDir,
  };
}

const told = ({ username, password, role }: Service['signIns'][number]) => ({ username, password, role });

function isColoured({ stdout, env }: Terminal): boolean {
  return 'isTTY' in stdout && stdout.isTTY === true && !env['NO_COLOR'];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
