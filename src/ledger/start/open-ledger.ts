import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Clock } from '../../time/clock.js';
import type { Config } from '../../config/config.js';
import { migrate, openReader, openWriter } from '../../database/data-source.js';
import { type Db, dbOf } from '../../database/db.js';
import { type Checkpoint, parseCheckpoint } from '../core/tlog/checkpoint.js';
import { emptyRoot } from '../core/tlog/merkle.js';
import { parseVerifierKey, splitNote } from '../core/tlog/note.js';
import { openWitnessed } from '../core/tlog/policy.js';
import { ErasureWatch } from './erasure-watch.js';
import { forgetAgain } from './forget-again.js';
import { HeadFile, isSignedBy, readHeadFile } from '../store/head-file.js';
import { IdFile } from '../store/id-file.js';
import { loadKey, loadOrCreateKey } from '../crypto/key-files.js';
import { readKeyHistory } from '../read/key-history.js';
import { LedgerReader } from '../ledger.reader.js';
import { ReadDb } from '../read/read-db.js';
import { LedgerWriter, type WriterOptions } from '../ledger.writer.js';
import { LogKey } from '../crypto/log-key.js';
import { installKey, LOG_KEY_FILE, LogKeys } from '../keys/log-key-files.js';
import { mustHoldKeys } from '../keys/missing-keys.js';
import type { ChainModel } from '../model.js';
import { RevokedKeys } from './revoke-again.js';
import { openStore } from '../store/store.js';
import { NewerReadModels, rebuildReadModels, Unfoldable } from '../read-models/rebuild.js';
import { readModelsVersion } from '../read-models/version.js';
import { batchTables, readModelsOf } from '../store/tables.js';
import { readHead, storedRootAt } from '../store/tip.js';
import type { ReportFault } from '../unavailable.js';
import { Vault } from '../keys/vault.js';

/** Advice to the operator of a database that was set back. */
const SET_BACK =
  '`rxledger log restore` brings it forward again; only if that is refused, `rxledger log restart` goes on as another log';

/** The ledger must not be opened. The message tells the operator why, and what to do. */
export class StartRefused extends Error {}

export interface Ledger {
  readonly writer: LedgerWriter;
  readonly reader: LedgerReader;
  readonly db: ReadDb;
  readonly vault: Vault;
  readonly revoked: RevokedKeys;
  /** The readers' data source. */
  readonly source: DataSource;
  /** Finishes waiting work, then closes files and connections. */
  close(): Promise<void>;
}

export interface OpenOptions extends Partial<WriterOptions> {
  /** Called with the progress while outdated read models are rebuilt. */
  readonly rebuilding?: (done: number, total: number) => void;
}

/**
 * Opens database, keys and head file. Refuses if they do not belong together: another origin, another key, or a ledger
 * that is shorter than its head file or differs from it.
 * @throws {StartRefused}
 */
export async function openLedger(
  config: Config,
  clock: Clock,
  models: readonly ChainModel[],
  report: ReportFault = () => undefined,
  { rebuilding, ...overrides }: OpenOptions = {},
): Promise<Ledger> {
  const tables = batchTables(models);
  const source = await openWriter(config, readModelsOf(models));
  const closers: (() => Promise<unknown>)[] = [() => source.destroy()];
  try {
    await migrate(source);
    const { keys, first } = await logKeys(dbOf(source), config);
    await mustHoldKeys(dbOf(source), config.keysDir, (reason) => new StartRefused(reason));
    const vault = new Vault(config.keysDir, first);
    const head = await HeadFile.open(config.headFile, keys);
    closers.unshift(() => head.close());
    await checkHeadFile(dbOf(source), keys, head.last);
    await rebuildReadModels(source, vault, models, {
      ifOlder: true,
      ...(rebuilding && { progress: rebuilding }),
    }).catch((error: unknown) => {
      throw error instanceof NewerReadModels || error instanceof Unfoldable ? new StartRefused(error.message) : error;
    });
    const readerSource = await openReader(config);
    closers.unshift(() => readerSource.destroy());
    const db = new ReadDb(dbOf(readerSource), readModelsVersion(models));
    const reader = new LedgerReader(db, vault, keys.origin);
    const store = await openStore(source, tables, readModelsVersion(models));
    closers.splice(closers.length - 1, 1, () => store.close());
    const { WRITER_BATCH: batch, WRITER_QUEUE: queue, CHAIN_CACHE: cache } = config.env;
    const options = { batch, queue, cache, ...overrides };
    const erased = IdFile.ofErased(config.erasedFile);
    const writer = new LedgerWriter(store, tables, models, vault, keys, head, erased, reader, clock, options, report);
    closers.unshift(() => writer.close());
    await forgetAgain(db, erased, writer);
    const revoked = new RevokedKeys(IdFile.ofRevoked(config.revokedFile));
    await revoked.revokeAgain(reader, writer);
    const watch = await ErasureWatch.start(db, writer, config.env.RELAY_POLL_SECONDS * 1000);
    closers.unshift(() => watch.stop());
    return {
      writer,
      reader,
      db,
      vault,
      revoked,
      source: readerSource,
      async close() {
        await closeAll(closers.splice(0));
      },
    };
  } catch (error) {
    await closeAll(closers).catch(() => undefined);
    throw error;
  }
}

/** Calls all of them, one after the other. @throws the first error, after the last call */
async function closeAll(closers: readonly (() => Promise<unknown>)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const closer of closers) await closer().catch((error: unknown) => faults.push(error));
  if (faults.length > 0) throw faults[0];
}

/**
 * The log's name and keys, as the database has them. A new database is given both.
 * @returns `first`: the log's first name. Secrets stay bound to it, whatever the log is called later
 */
async function logKeys(db: Db, config: Config): Promise<{ keys: LogKeys; first: string }> {
  const { keysDir: dir, env } = config;
  const wanted = env.LOG_ORIGIN;
  if (!(await readHead(db))) {
    const lost = await lostDatabase(config.headFile);
    if (lost !== null) throw new StartRefused(lost);
    const seed = loadOrCreateKey(dir, LOG_KEY_FILE);
    const fresh = new LogKey(wanted ?? `rxledger.local/${randomBytes(8).toString('hex')}`, seed);
    // If several processes start together on a new database, one wins and the others take its name. An empty log gets no
    // time: this machine's clock may be wrong, and no entry may be earlier than the log's time.
    await db.query(
      'INSERT INTO log_head (id, origin, vkey, size, root, time, checkpoint) VALUES (1, ?, ?, 0, ?, 0, ?) ON CONFLICT (id) DO NOTHING',
      [fresh.origin, fresh.vkey, Buffer.from(emptyRoot), fresh.checkpoint(0, emptyRoot)],
    );
  }
  const head = await readHead(db);
  if (!head) throw new StartRefused('the database has no log head');
  if (wanted !== undefined && wanted !== head.origin) {
    throw new StartRefused(
      `LOG_ORIGIN is ${wanted}, but this database holds the log ${head.origin}: unset it, or name the right database`,
    );
  }
  const { vkeys, vkeysNow, first } = await readKeyHistory(db, head.origin);
  const keys = LogKeys.open(dir, head.origin, head.vkey, vkeysNow);
  if (!keys) {
    const seed = loadKey(dir, LOG_KEY_FILE);
    if (!seed)
      throw new StartRefused(
        `the keys folder holds no ${LOG_KEY_FILE} of the log ${head.origin}: put it back from the backup of the keys folder`,
      );
    const { vkey } = new LogKey(head.origin, seed);
    const last = await readHeadFile(config.headFile, [vkey]);
    if (last !== null && isSignedBy(vkey, last) && openedBy([vkey], last).size > head.size)
      throw new StartRefused(
        `the database knows an older key of log ${head.origin} than its head file: it was set back. ${SET_BACK}`,
      );
    throw new StartRefused(
      `the key in the keys folder is not the one of log ${head.origin}: put the right one back from the backup of the keys folder`,
    );
  }
  // A crash cut a rotation short after its commit. Whoever began the rotation runs the command again to end it.
  installKey(dir, keys.of(head.vkey), vkeys.at(-2) ?? null, true);
  return { keys, first };
}

/** @returns why a database without a log head is not a new one; null when the head file remembers nothing */
export async function lostDatabase(headFile: string): Promise<string | null> {
  const remembered = await readHeadFile(headFile);
  if (remembered === null) return null;
  const { origin, size } = parseCheckpoint(splitNote(remembered).text);
  return `the database is empty, but its head file remembers ${size} entries of the log ${origin}: put a backup of the database in its place`;
}

/** Refuses a ledger that was set back or has lost its end. */
async function checkHeadFile(db: Db, { vkeys }: LogKeys, last: string | null): Promise<void> {
  if (last === null) return;
  const head = await readHead(db);
  if (!vkeys.some((vkey) => isSignedBy(vkey, last)))
    throw new StartRefused(
      "the head file is not this log's: put the right one back. If `rxledger log restart` was interrupted, run it again",
    );
  const { size, root: remembered } = openedBy(vkeys, last);
  if (!head || head.size < size) {
    throw new StartRefused(
      `the ledger has ${head?.size ?? 0} entries, but its head file remembers ${size}: it was set back or lost its end. ${SET_BACK}`,
    );
  }
  const root = await storedRootAt(db, size);
  if (!Buffer.from(root).equals(Buffer.from(remembered))) {
    throw new StartRefused(
      `the ledger differs from the checkpoint at ${size} entries in its head file: one of them was changed or belongs to another copy. \`rxledger log verify\` says more`,
    );
  }
}

/** @throws NoteError, CheckpointError if none of the keys has signed it */
function openedBy(vkeys: readonly string[], note: string): Checkpoint {
  const logs = vkeys.map((vkey) => ({ key: parseVerifierKey(vkey), url: null }));
  return openWitnessed({ logs, witnesses: [], groups: [], quorum: null }, note).checkpoint;
}
