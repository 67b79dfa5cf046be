/** Conditions of development and production mode (design 7). */
import { type Config, ConfigError } from '../config/config.js';
import type { Db } from '../database/db.js';

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/**
 * Before anything is opened: development stays on this machine, production takes no demo setting.
 * @throws {ConfigError}
 */
export function checkMode(config: Config): void {
  if (config.env.production) {
    if (config.env.DEMO_PASSWORD !== undefined) throw new ConfigError('DEMO_PASSWORD: not in production; unset it');
  } else if (!LOOPBACK.test(config.env.HOST)) {
    throw new ConfigError('HOST: only loopback (127.0.0.1) outside NODE_ENV=production');
  }
}

/**
 * Once the database is open: production does not start with demo accounts.
 * @throws {ConfigError}
 */
export async function checkAccounts(config: Config, db: Db): Promise<void> {
  if (!config.env.production) return;
  const [demo] = await db.query('SELECT id FROM account WHERE demo = 1 LIMIT 1');
  if (demo)
    throw new ConfigError(
      'the database holds demo accounts, with which production does not start: use another DATA_DIR or DATABASE_URL',
    );
}
