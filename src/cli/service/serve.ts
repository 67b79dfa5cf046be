import { pino } from 'pino';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { createLogger } from '../../config/logging.js';
import { checkMode } from '../../identity/mode.js';
import { serve } from '../../main.js';
import { findRedis } from './redis-finder.js';
import { Signals } from '../signals.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from '../terminal.js';

/** `rxledger serve`: resolves when a signal has ended the service. */
export async function runServe({ json }: CommonOptions, terminal: Terminal): Promise<ExitCode> {
  const asked = Config.parse(terminal.env);
  // Before a Redis is started or installed for it.
  checkMode(asked);
  const redis = await findRedis({
    url: asked.env.REDIS_URL,
    dataDir: asked.dataDir,
    log: (line) => terminal.err(line),
    mayStart: !asked.env.production,
  });
  try {
    const config = Config.parse({ ...terminal.env, REDIS_URL: redis.url });
    // With --json standard output holds that document alone.
    const logger = createLogger(config, json ? pino.destination(2) : undefined);
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
      terminal.out(address ? `RxLedger listens on ${address}` : 'RxLedger works without an API (ROLE=worker)');
      for (const { username, password, role } of signIns)
        terminal.out(`  sign in: ${username}  ${password}  (${role})`);
    }
    await signals.closed;
    signals.ignore();
    return EXIT.ok;
  } finally {
    await redis.stop();
  }
}
