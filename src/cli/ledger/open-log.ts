import { existsSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Config } from '../../config/config.js';
import { databaseName, openReader } from '../../database/data-source.js';
import { type Db, DbError, dbOf } from '../../database/db.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { LogKey } from '../../ledger/crypto/log-key.js';
import { type Ledger, lostDatabase, openLedger } from '../../ledger/start/open-ledger.js';
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
  if (!mayExist(config)) throw noLedger(databaseName(config));
  const source = await openReader(config);
  try {
    const head = await headIn(dbOf(source));
    if (!head) throw (await lostHead(config)) ?? noLedger(databaseName(config));
    return await work({ source, head, vkey: trustedKey(config.keysDir, head.origin) ?? head.vkey });
  } finally {
    await source.destroy();
  }
}

/** Whether the configured ledger may exist. PostgreSQL is not queried, so the answer for it is always yes. */
export function mayExist({ postgresUrl, sqliteFile }: Config): boolean {
  return Boolean(postgresUrl) || existsSync(sqliteFile);
}

/** @param place file or database in which there is none */
export const noLedger = (place: string): EnvironmentError =>
  new EnvironmentError(
    `there is no ledger in ${place}; check DATA_DIR and DATABASE_URL. \`rxledger serve\`, \`import\` and \`admin first\` make a new one`,
  );

async function lostHead({ headFile }: Config): Promise<EnvironmentError | null> {
  const lost = await lostDatabase(headFile);
  return lost === null ? null : new EnvironmentError(lost);
}

/** The log head; null when the database has none, or no such table. */
export async function headIn(db: Db): Promise<HeadRow | null> {
  try {
    return await readHead(db);
  } catch (error) {
    if (isNoTable(error)) return null;
    throw error;
  }
}

/** Whether the database lacks the table of a query. SQLite has no code of its own for that. */
export const isNoTable = (error: unknown): boolean =>
  error instanceof DbError && ['SQLITE_ERROR', '42P01'].includes(error.code);

/** The settings of an existing ledger; never makes one. @throws {EnvironmentError} when there is no ledger */
export async function existingLedger({ env }: Terminal): Promise<Config> {
  const config = Config.parse(env);
  await withLog(config, async () => undefined);
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
