/** Helpers for a log whose database is set back: its public files, its followers, its backups. */
import { ReadDb } from '../../src/ledger/read/read-db.js';
import { randomUUID } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { checkEvidence, evidenceSchema } from '../../src/audit/follow/evidence.js';
import { Follower } from '../../src/audit/follow/follower.js';
import type { Replica } from '../../src/audit/follow/replica/replica.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly } from '../../src/ledger/core/tlog/policy.js';
import { parseTilePath } from '../../src/ledger/core/tlog/tiles.js';
import { exportLog } from '../../src/ledger/verify/export.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import { readKeyHistory } from '../../src/ledger/read/key-history.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import type { ChainModel } from '../../src/ledger/model.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import type { VerifyReport } from '../../src/ledger/verify/report.js';
import { LogFiles } from '../../src/log/log-files.js';
import type { ServedCheckpoint } from '../../src/log/checkpoints/served.js';
import { temporaryFolder } from './ledger.js';

/** Verifies a whole database with its keys and head file. @param vkey null: the key that the database names */
export async function verified(
  config: Config,
  models: readonly ChainModel[],
  vkey: string | null = null,
): Promise<VerifyReport> {
  const source = await openReader(config);
  try {
    const head = await readHead(dbOf(source));
    const { first, vkeysNow } = await readKeyHistory(dbOf(source), head?.origin ?? '');
    const vault = Vault.openExisting(config.keysDir, first);
    const remembered = await readHeadFile(config.headFile, [head?.vkey ?? '', ...vkeysNow]);
    return await verifyDatabase({ source, vkey: vkey ?? head?.vkey ?? '', vault, remembered, models });
  } finally {
    await source.destroy();
  }
}

const CHAIN_PAGE = /^chain\?(?:after=(\d+)&)?limit=1$/;

/** Its public files, as the service would serve them. */
export async function shown<T>(config: Config, use: (files: FetchFile) => Promise<T>): Promise<T> {
  const source = await openReader(config);
  try {
    const head = await readHead(dbOf(source));
    const { first } = await readKeyHistory(dbOf(source), head?.origin ?? '');
    const reader = new LedgerReader(dbOf(source), new Vault(config.keysDir, first), head?.origin ?? '');
    const log = new LogFiles(reader, new ReadDb(dbOf(source), 0), {
      reaches: () => Promise.resolve(true),
    } as unknown as ServedCheckpoint);
    return await use(async (path) => {
      if (path === 'checkpoint') return Buffer.from(head?.checkpoint ?? '');
      if (path === 'rotations') return Buffer.from(JSON.stringify({ items: await log.rotations() }));
      if (path === 'continued') return Buffer.from(JSON.stringify({ items: await log.continued() }));
      const [page, after] = CHAIN_PAGE.exec(path) ?? [];
      if (page !== undefined) return Buffer.from(JSON.stringify({ items: await log.chain(Number(after ?? -1), 1) }));
      const tile = parseTilePath(path);
      if (!tile) return null;
      const { level, index, width } = tile;
      return level === 'entries' ? log.bundle(index, width) : log.tile(level, index, width);
    });
  } finally {
    await source.destroy();
  }
}

/** One look of an auditor. @param folder the follower's */
export async function follow(config: Config, folder: string, vkey: string, replica?: Replica) {
  const policy = logOnly(parseVerifierKey(vkey));
  return shown(config, async (fetch) => {
    const options = { policy, fetch, url: 'https://log.example', clock: new Clock(), ...(replica && { replica }) };
    const follower = await Follower.open(folder, options);
    try {
      const poll = await follower.poll();
      if (poll.ok) return poll;
      const evidence = evidenceSchema.parse(JSON.parse(readFileSync(poll.evidence, 'utf8')));
      return { ...poll, ...checkEvidence(nodeHasher, policy, evidence) };
    } finally {
      await follower.close();
    }
  });
}

/** Lines of an export with payloads. */
export async function exported(config: Config): Promise<string[]> {
  const source = await openReader(config);
  try {
    const head = await readHead(dbOf(source));
    const { first } = await readKeyHistory(dbOf(source), head?.origin ?? '');
    const lines: string[] = [];
    for await (const line of exportLog(source, new Vault(config.keysDir, first))) lines.push(line);
    return lines;
  } finally {
    await source.destroy();
  }
}

const isDatabase = (file: string): boolean => file.startsWith('rxledger.sqlite');

function copyDatabase(from: string, to: string): void {
  for (const file of readdirSync(from).filter(isDatabase)) cpSync(join(from, file), join(to, file));
}

/**
 * Copies the database, which nobody may have open.
 * @param closers gets a function that removes the copy at the end of the test
 * @returns sets the database back to the copy, any number of times; keys and head file stay
 */
export async function backup(config: Config, closers: (() => unknown)[]): Promise<() => Promise<void>> {
  if (config.postgresUrl) {
    const copy = new URL(config.postgresUrl);
    const [own, kept] = [copy.pathname.slice(1), `kept_${randomUUID().replaceAll('-', '')}`];
    copy.pathname = '/postgres';
    const admin = async (statements: readonly string[]): Promise<void> => {
      const client = new Client({ connectionString: copy.href });
      await client.connect();
      for (const statement of statements) await client.query(statement);
      await client.end();
    };
    await admin([`CREATE DATABASE ${kept} TEMPLATE "${own}"`]);
    return () => admin([`DROP DATABASE "${own}"`, `CREATE DATABASE "${own}" TEMPLATE ${kept}`]);
  }
  const kept = temporaryFolder();
  closers.push(() => kept.remove());
  copyDatabase(config.dataDir, kept.path);
  return () => {
    for (const file of readdirSync(config.dataDir).filter(isDatabase)) rmSync(join(config.dataDir, file));
    copyDatabase(kept.path, config.dataDir);
    return Promise.resolve();
  };
}

/** For `restartLog`: the operator agrees, and reports are dropped. */
export const AGREED = { report: () => undefined, agree: () => Promise.resolve(true) };
