import { existsSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Config } from '../../config/config.js';
import { openReader } from '../../database/data-source.js';
import { dbOf } from '../../database/db.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { LogKey } from '../../ledger/crypto/log-key.js';
import { type Ledger, openLedger } from '../../ledger/start/open-ledger.js';
import { type HeadRow, readHead } from '../../ledger/store/tip.js';
import { Clock } from '../../time/clock.js';
import { EnvironmentError, type Terminal } from '../terminal.js';

/** A ledger opened for reading: nothing is made, migrated or locked. */
export interface OpenLog {
  readonly source: DataSource;
  readonly head: HeadRow;
  /** Verifier key of the key in the keys folder; without one, the key that the database names. */
  readonly vkey: string;
}

/**
 * Opens the ledger of the settings read-only for a piece of work.
 * @throws {EnvironmentError} when there is no ledger
 */
export async function withLog<T>(config: Config, work: (log: OpenLog) => Promise<T>): Promise<T> {
  if (!mayExist(config))
    throw new EnvironmentError(`there is no ledger at ${config.sqliteFile} yet: serve and import make one`);
  const source = await openReader(config);
  try {
    const head = await readHead(dbOf(source)).catch(() => null);
    if (!head) throw new EnvironmentError('the database holds no ledger yet: serve and import make one');
    return await work({ source, head, vkey: trustedKey(config.keysDir, head.origin) ?? head.vkey });
  } finally {
    await source.destroy();
  }
}

/** Whether the configured ledger may exist. PostgreSQL is not queried, so the answer for it is always yes. */
export function mayExist({ postgresUrl, sqliteFile }: Config): boolean {
  return Boolean(postgresUrl) || existsSync(sqliteFile);
}

/** The settings of an existing ledger; never makes one. @throws {EnvironmentError} when there is no ledger */
export function existingLedger({ env }: Terminal): Config {
  const config = Config.parse(env);
  if (!mayExist(config)) throw new EnvironmentError(`there is no ledger at ${config.sqliteFile}`);
  return config;
}

/** Opens the ledger for writing, also while a service runs. Makes one when there is none yet. */
export async function withLedger<T>(
  config: Config,
  terminal: Terminal,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const ledger = await openLedger(config, new Clock(), CHAIN_MODELS, (event, detail) =>
    terminal.err(`${event} ${JSON.stringify(detail)}`),
  );
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}

/** The verifier key that the keys folder gives; null without a key there. */
export function trustedKey(keysDir: string, origin: string): string | null {
  const seed = loadKey(keysDir, 'log.key');
  return seed && new LogKey(origin, seed).vkey;
}
