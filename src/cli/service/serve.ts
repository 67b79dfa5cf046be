import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { createLogger, logStream } from '../../config/logging.js';
import { checkMode } from '../../identity/mode.js';
import { serve } from '../../main.js';
import { signInTable } from '../../demo/leaflet.js';
import { DEMO_IDENTIFIERS } from '../../http/openapi/demo-ids.js';
import { PAGE_PATH } from '../../http/openapi/document.js';
import { DEMO_ORGANISATIONS, type DemoSignIn } from '../../seed/demo-accounts.js';
import { findRedis } from './redis-finder.js';
import { Signals } from '../signals.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';

/** `rxledger serve`: resolves when a signal has ended the service. */
export async function runServe({ json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  const asked = Config.parse(terminal.env);
  // Checked before a Redis is started.
  checkMode(asked);
  const redis = await findRedis({
    url: asked.env.REDIS_URL,
    dataDir: asked.dataDir,
    log: (line) => terminal.err(line),
    upTo: asked.env.production ? 'find' : 'start',
  });
  try {
    const config = Config.parse({ ...terminal.env, REDIS_URL: redis.url });
    // With --json, standard output holds only that document.
    const logger = createLogger(config, logStream(json ? 2 : 1));
    const { address, signIns } = await serve(config, new Clock(), logger);
    const signals = new Signals();
    if (json) {
      terminal.out(
        JSON.stringify({
          address,
          signIns: signIns.map(({ username, password, role }) => ({ username, password, role })),
        }),
      );
    } else {
      for (const line of welcome(address, signIns)) terminal.out(line);
    }
    await signals.closed;
    signals.ignore();
    return EXIT.ok;
  } finally {
    await redis.stop();
  }
}

/** The addresses and sign-ins for a first tour. */
function welcome(address: string | null, signIns: readonly DemoSignIn[]): string[] {
  if (address === null) return ['RxLedger works without an API (ROLE=worker)'];
  const listens = `RxLedger listens on ${address}  (Ctrl-C ends it)`;
  if (signIns.length === 0) return [listens];
  const names = new Map(Object.values(DEMO_ORGANISATIONS).map(({ id, name }) => [id, name]));
  return [
    listens,
    '',
    ...signInTable(signIns, names),
    '  These accounts are for development. Their passwords change at each start, unless DEMO_PASSWORD is set.',
    '',
    'Next:',
    `  1. Open ${address}${PAGE_PATH}: every request with an example that works.`,
    '  2. Sign in as prescriber (POST /api/auth/sign-in) and find a patient:',
    `     POST /api/patients/search ${JSON.stringify(DEMO_IDENTIFIERS.patient)}`,
    '  3. Issue, claim, dispense, log a dose: README.md has the calls.',
    '',
  ];
}
