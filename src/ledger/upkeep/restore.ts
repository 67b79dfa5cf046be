import type { DataSource } from 'typeorm';
import type { Clock } from '../../time/clock.js';
import type { Config } from '../../config/config.js';
import { migrate, openReader, openWriter } from '../../database/data-source.js';
import { type Db, dbOf } from '../../database/db.js';
import { contentOf } from '../commit/batch-content.js';
import type { HeadAfter } from '../store/batch-statement.js';
import { equal, fromUtf8 } from '../core/bytes.js';
import { type Checkpoint, CheckpointError, openCheckpoint, parseCheckpoint } from '../core/tlog/checkpoint.js';
import { type FetchFile, LogClient, LogFileError } from '../core/tlog/log-client.js';
import { GrowingTree } from '../core/tlog/merkle.js';
import { NoteError, splitNote } from '../core/tlog/note.js';
import { isSignedBy, readHeadFile } from '../store/head-file.js';
import { readKeyHistory } from '../read/key-history.js';
import { LogKeys } from '../keys/log-key-files.js';
import { type FoundPayload, type LostEvent, LostPart, RestoreRefused, subjectsOfOthers } from './lost-part.js';
import type { ChainModel } from '../model.js';
import { mustHoldKeys } from '../keys/missing-keys.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import type { ReportFault } from '../unavailable.js';
import { RestoredBatch, type RestoreTools } from './restored-batch.js';
import { Sealer } from '../crypto/sealer.js';
import { publishBehindNewest } from '../rows/published.js';
import { raiseServed } from '../rows/served.js';
import { openStore, type Store } from '../store/store.js';
import { rebuildReadModels } from '../read-models/rebuild.js';
import { readModelsVersion } from '../read-models/version.js';
import { batchTables, readModelsOf, T } from '../store/tables.js';
import { growTiles, type HeadRow, loadTip, readHead, type Tip } from '../store/tip.js';
import { Vault } from '../keys/vault.js';
import { verifyDatabase } from '../verify/database.js';
import type { VerifyReport } from '../verify/report.js';

/** Entries written in one transaction. It holds the head's lock, and PostgreSQL ends transactions that idle. */
const BATCH = 1000;

export interface Restored {
  readonly log: string;
  readonly vkey: string;
  /** Number of entries in the database before; `size`: afterwards. */
  readonly before: number;
  readonly size: number;
  /** Report on the whole database afterwards. */
  readonly verified: VerifyReport;
}

export interface RestoreStep {
  readonly step: 'reading' | 'writing' | 'verifying';
  readonly done: number;
  readonly total: number;
}

export interface RestoreSources {
  /** Files of a replica; null: none, so the entries come with the payloads. */
  readonly replica: FetchFile | null;
  readonly payloads: AsyncIterable<FoundPayload>;
}

export interface RestoreOptions {
  readonly report: ReportFault;
  readonly progress?: (step: RestoreStep) => void;
  readonly batch?: number;
}

/**
 * Restores the lost entries of a database that has fewer entries than its head file remembers (design 3). Entries come
 * from a replica; the last entries and all payloads come from whoever kept them. Everything else is made as the writer
 * made it, under fresh data keys.
 *
 * The service does not start meanwhile, since the head file is ahead of the database. Nothing is written unless all
 * lost entries are found. After an interruption, run it again: it continues where it stopped.
 * @throws {RestoreRefused}; errors of the replica
 */
export async function restoreLog(
  config: Config,
  clock: Clock,
  models: readonly ChainModel[],
  { replica, payloads }: RestoreSources,
  { report, progress = () => undefined, batch = BATCH }: RestoreOptions,
): Promise<Restored> {
  const source = await openWriter(config, readModelsOf(models));
  let store: Store | null = null;
  let written = 0;
  try {
    await migrate(source);
    const head = await readHead(dbOf(source));
    if (!head) throw new RestoreRefused('the database holds no log');
    await mustHoldKeys(dbOf(source), config.keysDir, (reason) => new RestoreRefused(reason));
    const note = await rememberedBy(config, head);
    const remembered = openCheckpoint(note, head.vkey);
    const client = replica && (await clientOf(replica, head, remembered));
    const total = remembered.size - head.size;
    const lost = await LostPart.read(client, head.size, remembered.size, (done) =>
      progress({ step: 'reading', done, total }),
    );
    for await (const found of payloads) lost.offer(found);
    const events = lost.events(head.origin, head.time);
    const { keys, vault } = await keysOf(config, source, head);
    const tables = batchTables(models);
    await rebuildReadModels(source, vault, models, { ifOlder: true });
    // 'any' clock: old entries are written again with their original times.
    store = await openStore(source, tables, readModelsVersion(models), 'any');
    const { db } = store;
    // Under the head's lock, since another process may write between two reads.
    const tip = await store.locked(() => loadTip(db));
    if (tip?.size !== head.size) throw new RestoreRefused('somebody writes to the log');
    const roots = rootsOf(tip, events, batch, remembered);
    const kinds = new Map<string, ChainModel>(models.map((model) => [model.kind, model]));
    const tools = { db, vault, models: kinds, provisional: subjectsOfOthers(events, kinds) };
    const sealer = new Sealer(report);
    try {
      for (let at = 0; at < events.length; at += batch) {
        const part = events.slice(at, at + batch);
        const root = roots[at / batch] as Uint8Array;
        const last = at + part.length === events.length;
        await write({ ...tools, store, keys, sealer }, part, root, last ? clock.now() : null);
        written += part.length;
        progress({ step: 'writing', done: written, total });
      }
    } finally {
      await sealer.close();
    }
    const { origin: log, vkey } = head;
    const verified = await verifiedNow(config, vkey, vault, note, models, progress);
    return { log, vkey, before: head.size, size: remembered.size, verified };
  } catch (error) {
    const refused = error instanceof LogFileError ? refusalOf(error) : error;
    throw refused instanceof RestoreRefused ? new RestoreRefused(refused.message, refused.missing, written) : error;
  } finally {
    await (store ? store.close() : source.destroy());
  }
}

/** @returns the head file's newest checkpoint. @throws {RestoreRefused} when nothing was lost */
async function rememberedBy({ headFile }: Config, { origin, vkey, size }: HeadRow): Promise<string> {
  const note = await readHeadFile(headFile);
  if (note === null) throw new RestoreRefused('there is no head file: nothing says that the log was longer');
  if (!isSignedBy(vkey, note)) {
    const { origin: other } = parseCheckpoint(splitNote(note).text);
    throw new RestoreRefused(
      other === origin
        ? "the head file's newest checkpoint is by another key: the log's key was replaced in what was lost. That is not brought back; `rxledger log restart` goes on without what was lost"
        : `the head file is that of the log ${other}`,
    );
  }
  const remembered = openCheckpoint(note, vkey);
  if (remembered.size <= size)
    throw new RestoreRefused(
      `the ledger has ${size} entries, and its head file remembers no more: it goes on as it is`,
    );
  return note;
}

/**
 * The replica's files at the head file's checkpoint or, when the replica has fewer entries, at its own.
 * @returns null when it has no more entries than the database
 * @throws {RestoreRefused} when it belongs to another log, or does not begin with the database's entries; LogFileError
 */
async function clientOf(replica: FetchFile, head: HeadRow, remembered: Checkpoint): Promise<LogClient | null> {
  const { note, shown } = await shownBy(replica);
  if (shown.origin !== head.origin) throw new RestoreRefused(`the replica is one of the log ${shown.origin}`);
  if (shown.size <= head.size) return null;
  if (shown.size < remembered.size && !isSignedBy(head.vkey, note))
    throw new RestoreRefused("the replica's checkpoint is not signed by the log's key");
  const client = await LogClient.open(nodeHasher, replica, shown.size < remembered.size ? shown : remembered);
  if (!equal(await client.rootAt(head.size), head.root))
    throw new RestoreRefused(
      `the ${head.size} entries of the database are not the beginning of what the head file remembers`,
    );
  return client;
}

/**
 * The tree's root after each batch.
 * @throws {RestoreRefused} when the found entries do not give the root that the head file remembers
 */
function rootsOf(tip: Tip, events: readonly LostEvent[], batch: number, remembered: Checkpoint): readonly Uint8Array[] {
  const tree = new GrowingTree(nodeHasher, tip.size, tip.frontier);
  const roots: Uint8Array[] = [];
  for (const [at, { leaf }] of events.entries()) {
    tree.append(leaf);
    if ((at + 1) % batch === 0 || at + 1 === events.length) roots.push(tree.root());
  }
  if (!equal(tree.root(), remembered.root))
    throw new RestoreRefused(
      'the entries of the database and those that were found do not give what the head file remembers',
    );
  return roots;
}

/**
 * The replica's checkpoint, its signature not checked yet. The restored entries are compared with the head file's root
 * anyway.
 */
async function shownBy(replica: FetchFile): Promise<{ note: string; shown: Checkpoint }> {
  const file = await replica('checkpoint');
  if (!file) throw new RestoreRefused('the replica has no checkpoint');
  try {
    const note = fromUtf8(file);
    return { note, shown: parseCheckpoint(splitNote(note).text) };
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError)
      throw new RestoreRefused('the replica has no checkpoint');
    throw error;
  }
}

function refusalOf({ path, reason }: LogFileError): RestoreRefused {
  return new RestoreRefused(
    reason === 'missing'
      ? `the replica lacks ${path}`
      : `the replica is not one of this log, or was changed: ${path} does not give what the head file remembers`,
  );
}

async function keysOf(
  { keysDir }: Config,
  source: DataSource,
  { origin, vkey }: HeadRow,
): Promise<{ keys: LogKeys; vault: Vault }> {
  const { first, vkeysNow } = await readKeyHistory(dbOf(source), origin);
  const keys = LogKeys.open(keysDir, origin, vkey, vkeysNow);
  if (!keys) throw new RestoreRefused(`the key in ${keysDir} is not the one of the log ${origin}`);
  const vault = Vault.openExisting(keysDir, first);
  if (!vault) throw new RestoreRefused(`there are no keys in ${keysDir}`);
  return { keys, vault };
}

/**
 * Appends events to the database in one transaction.
 * @param root of the tree after them
 * @param publishedAt instant, ms, at which the checkpoint of the last event is published
 */
async function write(
  { store, keys, sealer, ...tools }: RestoreTools & { store: Store; keys: LogKeys; sealer: Sealer },
  events: readonly LostEvent[],
  root: Uint8Array,
  publishedAt: number | null,
): Promise<void> {
  await store.locked(async () => {
    const before = await loadTip(store.db);
    if (!before || before.size !== events[0]?.event.index) throw new RestoreRefused('somebody writes to the log');
    const content = await RestoredBatch.of(tools, events);
    const rows = contentOf(content, tools.vault, batchTables([...tools.models.values()]));
    const tree = new GrowingTree(nodeHasher, before.size, before.frontier);
    for (const { leaf } of events) tree.append(leaf);
    for (const { level, index, hashes } of growTiles(before, tree).written) rows.add(T.tile, [level, index, hashes]);
    // The key must sign only trees that the log has signed before.
    if (!equal(tree.root(), root))
      throw new RestoreRefused('the database is not the beginning of the replica any more');
    const after: HeadAfter = {
      size: tree.size,
      root,
      time: Date.parse(events.at(-1)?.event.recordedAt ?? ''),
      checkpoint: keys.of(before.vkey).checkpoint(tree.size, root),
    };
    if (!(await store.write(before, after, await rows.sealed(sealer))))
      throw new RestoreRefused('somebody writes to the log, or destroys a key-encryption key');
    if (publishedAt !== null) await publish(store.db, after, publishedAt);
  });
}

/**
 * Publishes the new checkpoint at once. Until then the service would show the backup's smaller one, and every follower
 * would find the log set back.
 */
async function publish(db: Db, { size, checkpoint }: HeadAfter, at: number): Promise<void> {
  await publishBehindNewest(db, { size, checkpoint }, at);
  await raiseServed(db, size);
}

async function verifiedNow(
  config: Config,
  vkey: string,
  vault: Vault,
  remembered: string,
  models: readonly ChainModel[],
  progress: (step: RestoreStep) => void,
): Promise<VerifyReport> {
  const source = await openReader(config);
  try {
    return await verifyDatabase({ source, vkey, vault, remembered, models }, ({ done, total }) =>
      progress({ step: 'verifying', done, total }),
    );
  } finally {
    await source.destroy();
  }
}
