import { existsSync } from 'node:fs';
import type { DataSource } from 'typeorm';
import type { Config } from '../../config/config.js';
import { openReader } from '../../database/data-source.js';
import { dbOf } from '../../database/db.js';
import { loadKey } from '../../ledger/crypto/key-files.js';
import { LogKey } from '../../ledger/crypto/log-key.js';
import { type HeadRow, readHead } from '../../ledger/store/tip.js';
import { EnvironmentError } from '../terminal.js';

/** A ledger that is only looked at: nothing is made, migrated or locked. */
export interface OpenLog {
  readonly source: DataSource;
  readonly head: HeadRow;
  /** Of the key in the keys folder; where there is none, what the database names. */
  readonly vkey: string;
}

/**
 * Opens the ledger of the settings read-only for a piece of work.
 * @throws {EnvironmentError} when there is no ledger
 */
export async function withLog<T>(config: Config, work: (log: OpenLog) => Promise<T>): Promise<T> {
  if (!config.postgresUrl && !existsSync(config.sqliteFile)) {
    throw new EnvironmentError(`there is no ledger at ${config.sqliteFile} yet: serve and import make one`);
  }
  const source = await openReader(config);
  try {
    const head = await readHead(dbOf(source)).catch(() => null);
    if (!head) throw new EnvironmentError('the database holds no ledger yet: serve and import make one');
    return await work({ source, head, vkey: trustedKey(config.keysDir, head.origin) ?? head.vkey });
  } finally {
    await source.destroy();
  }
}

/** The verifier key that the keys folder gives; null without a key there. */
export function trustedKey(keysDir: string, origin: string): string | null {
  const seed = loadKey(keysDir, 'log.key');
  return seed && new LogKey(origin, seed).vkey;
}
