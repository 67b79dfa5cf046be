import { NestFactory } from '@nestjs/core';
import type { INestApplicationContext } from '@nestjs/common';
import type { Logger } from 'pino';
import { AppModule } from './app.module.js';
import { Clock } from './time/clock.js';
import type { Config } from './config/config.js';
import { allOrNothing } from './http/all-or-nothing.js';
import { createLogger, NestLogger } from './config/logging.js';
import { createServer } from './http/server.js';
import { type DemoSignIn, seedDemo } from './seed/demo-accounts.js';
import { enrolDemoPatient } from './seed/demo-patients.js';
import { checkAccounts, checkMode } from './identity/mode.js';
import { LedgerReader } from './ledger/ledger.reader.js';
import { ReadDb } from './ledger/read/read-db.js';
import { LedgerWriter } from './ledger/ledger.writer.js';
import { Vault } from './ledger/keys/vault.js';

export interface Service {
  readonly app: INestApplicationContext;
  /** Where it listens, `http://…`; null for a worker. */
  readonly address: string | null;
  /** Development mode: the demo's accounts with the passwords that hold until the next start. */
  readonly signIns: readonly DemoSignIn[];
  /** Stops taking connections, finishes what waits, lets go of everything. */
  close(): Promise<void>;
}

/**
 * Starts this process in its role (`ROLE=api|worker|all`). SIGTERM and SIGINT end it gracefully.
 * @param clock another clock than the machine's, for the demo and for tests
 * @throws {ConfigError} when the mode forbids a setting or the accounts it finds; what opening the ledger throws
 */
export async function serve(
  config: Config,
  clock: Clock = new Clock(),
  logger: Logger = createLogger(config),
): Promise<Service> {
  checkMode(config);
  const root = AppModule.for(config, clock);
  if (config.env.ROLE === 'worker') {
    const app = await allOrNothing((options) =>
      NestFactory.createApplicationContext(root, { ...options, logger: new NestLogger(logger), abortOnError: false }),
    );
    try {
      await checkAccounts(config, app.get(ReadDb));
    } catch (error) {
      await app.close();
      throw error;
    }
    app.enableShutdownHooks();
    return { app, address: null, signIns: [], close: () => app.close() };
  }
  const app = await createServer(root, config, logger);
  try {
    app.enableShutdownHooks();
    await app.init();
    await checkAccounts(config, app.get(ReadDb));
    const signIns = config.env.production ? [] : await seed(app, config, clock);
    await app.listen(config.env.PORT, config.env.HOST);
    return { app, address: await app.getUrl(), signIns, close: () => app.close() };
  } catch (error) {
    await app.close();
    throw error;
  }
}

function seed(app: INestApplicationContext, config: Config, clock: Clock): Promise<DemoSignIn[]> {
  const writer = app.get(LedgerWriter);
  const reader = app.get(LedgerReader);
  return seedDemo({
    writer,
    vault: app.get(Vault),
    clock,
    password: config.env.DEMO_PASSWORD,
    enrol: (patient) => enrolDemoPatient(writer, reader, patient),
  });
}
