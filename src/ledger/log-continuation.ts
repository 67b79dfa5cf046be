import { randomBytes } from 'node:crypto';
import type { Clock } from '../config/clock.js';
import type { Config } from '../config/config.js';
import { migrate, openReader, openWriter } from '../database/data-source.js';
import { type Db, dbOf } from '../database/db.js';
import { openCheckpoint } from './core/checkpoint.js';
import { LOG_CHAIN } from './core/entry.js';
import { type Continuation, formatContinuation, LOG_CONTINUED } from './core/log-continuation.js';
import { signNote } from './core/note.js';
import { type Draft, openStaging, seal, stage } from './draft.js';
import { HeadCache } from './head-cache.js';
import { HeadFile, isSignedBy, readHeadFile, readHeadFileUpTo, setAside } from './head-file.js';
import { type KeyHistory, readKeyHistory } from './key-history.js';
import { publishRotation } from './key-rotation.js';
import { LOG_REF } from './log-chain.js';
import type { LogKey } from './log-key.js';
import { keyIdOf, LogKeys, prepareKey, settleKey } from './log-keys.js';
import { accept, type ChainModel, type Command, SYSTEM } from './model.js';
import type { Report } from './open-ledger.js';
import { Sealer } from './sealer.js';
import { openStore, type Store } from './store.js';
import { batchTables } from './tables.js';
import { type HeadRow, loadTip, readHead, storedRootAt, type Tip } from './tip.js';
import { Vault } from './vault.js';
import { verifyDatabase } from './verify/database.js';
import type { Progress } from './verify/report.js';

/** There is nothing to continue, or not as things are. The message says why, for whoever runs the log. */
export class ContinueRefused extends Error {}

export interface Continued {
  readonly said: Pick<Continuation, 'from' | 'to' | 'oldOrigin' | 'origin' | 'size' | 'remembered' | 'bothSigned'>;
  /** Where the old head file is now; null when it was moved before. */
  readonly headFile: string | null;
}

/** Chain heads kept in memory: the batch needs one. */
const CACHED = 2;

/**
 * Continues a log whose database was set back to fewer entries than its head file remembers, under a new name and key
 * (design 3). The service does not start meanwhile, for the head file is ahead of the database. One transaction appends
 * the event that says what is continued, and gives the head the new name and key; then the key file and the head file
 * follow. Asked again after a crash, it finishes what was begun.
 * @param origin the new name; null: a random one
 * @throws {ContinueRefused} and leaves everything as it was
 */
export async function continueLog(
  config: Config,
  clock: Clock,
  models: readonly ChainModel[],
  origin: string | null,
  report: Report,
  progress: (step: Progress) => void = () => undefined,
): Promise<Continued> {
  const source = await openWriter(config);
  let store: Store | null = null;
  try {
    await migrate(source);
    const db = dbOf(source);
    const head = await readHead(db);
    if (!head) throw new ContinueRefused('the database holds no log');
    const history = await readKeyHistory(db, head.origin);
    const begun = await finish(config, head, history);
    if (begun) return begun;
    const remembered = await lost(config, head);
    await mustBeTheBeginning(config, db, head);
    const next = origin ?? `rxledger.local/${randomBytes(8).toString('hex')}`;
    if (history.names.some((name) => name.origin === next) || next === head.origin)
      throw new ContinueRefused(`the log was called ${next} already: it needs a name that nobody has pinned`);
    await mustVerify(config, head, history, models, progress);
    store = await openStore(source, batchTables(models));
    const key = prepareKey(config.keysDir, next);
    await commit(store, config, clock, models, head, history, key, remembered, report);
  } finally {
    await (store ? store.close() : source.destroy());
  }
  // The database says it now; what is left is found again as after a crash.
  return continueLog(config, clock, models, origin, report, progress);
}

/** @returns the head file's newest checkpoint by the log's key. @throws {ContinueRefused} when nothing was lost */
async function lost({ headFile }: Config, { vkey, size }: HeadRow): Promise<string> {
  const note = await readHeadFile(headFile, [vkey]);
  if (note === null) throw new ContinueRefused('there is no head file: nothing says that the log was longer');
  if (!isSignedBy(vkey, note)) throw new ContinueRefused("the head file is not this log's");
  const remembered = openCheckpoint(note, vkey);
  if (remembered.size <= size)
    throw new ContinueRefused(
      `the ledger has ${size} entries, and its head file remembers no more: it goes on as it is`,
    );
  return note;
}

/** What is left may have been written to without its head file: then it is another log than the one that is remembered. */
async function mustBeTheBeginning({ headFile }: Config, db: Db, { vkey, size }: HeadRow): Promise<void> {
  const note = await readHeadFileUpTo(headFile, vkey, size);
  if (note === null) return;
  const known = openCheckpoint(note, vkey);
  if (!Buffer.from(known.root).equals(await storedRootAt(db, known.size)))
    throw new ContinueRefused(`what is left differs from the checkpoint at ${known.size} entries in the head file`);
}

async function mustVerify(
  config: Config,
  head: HeadRow,
  { first }: KeyHistory,
  models: readonly ChainModel[],
  progress: (step: Progress) => void,
): Promise<void> {
  const vault = Vault.openExisting(config.keysDir, first);
  if (!vault) throw new ContinueRefused(`there are no keys in ${config.keysDir}`);
  const reader = await openReader(config);
  try {
    const input = { source: reader, vkey: head.vkey, vault, remembered: null, models };
    const { ok, missing, tampered } = await verifyDatabase(input, progress);
    if (!ok)
      throw new ContinueRefused(
        `what is left does not verify (${tampered} tampered, ${missing} missing: \`rxledger verify\` says where)`,
      );
  } finally {
    await reader.destroy();
  }
}

async function commit(
  store: Store,
  { keysDir }: Config,
  clock: Clock,
  models: readonly ChainModel[],
  head: HeadRow,
  { first, vkeysNow }: KeyHistory,
  next: LogKey,
  remembered: string,
  report: Report,
): Promise<void> {
  const vault = new Vault(keysDir, first);
  const sealer = new Sealer(report);
  const old = LogKeys.open(keysDir, head.origin, head.vkey, vkeysNow)?.of(head.vkey) ?? null;
  try {
    await store.locked(async () => {
      const tip = await loadTip(store.db);
      if (tip?.size !== head.size || tip.vkey !== head.vkey) throw new ContinueRefused('somebody writes to the log');
      const cache = new HeadCache(store.db, vault, CACHED);
      await cache.begin();
      const keys = LogKeys.open(keysDir, next.origin, next.vkey) as LogKeys;
      const desk = { vault, keys, tables: batchTables(models) };
      const data = continuationData(old, next, tip, remembered);
      const draft = await draftContinuation(desk, cache, tip, Math.max(clock.now(), tip.time), next, data);
      const rows = await draft.rows?.sealed(sealer);
      if (!rows || !(await store.write(draft.before, draft.after, rows)))
        throw new ContinueRefused("the database's clock is off this machine's, or somebody writes to the log");
      await store.db.query('UPDATE log_head SET origin = ?', [next.origin]);
      await publishRotation(store.db, draft.after);
      // Nothing of before is served any more, whatever witnesses have cosigned it.
      const { size } = draft.after;
      await store.db.query('UPDATE served SET size = ? WHERE size < ?', [size, size]);
    });
  } finally {
    await sealer.close();
  }
}

/** What the event says, signed by the new key and, where it is still had, the old one. */
export function continuationData(old: LogKey | null, next: LogKey, tip: Tip, remembered: string) {
  const [from, to] = [tip.vkey, next.vkey];
  const last = openCheckpoint(remembered, from);
  const said = { from, to, oldOrigin: tip.origin, origin: next.origin, size: tip.size, root: tip.root };
  const signers = [next.signer, ...(old ? [old.signer] : [])];
  return { from, to, remembered, statement: signNote(formatContinuation({ ...said, remembered: last }), signers) };
}

/** A batch that holds nothing but the event, the first under the new name. */
async function draftContinuation(
  desk: Parameters<typeof openStaging>[0],
  cache: HeadCache,
  tip: Tip,
  now: number,
  next: LogKey,
  data: ReturnType<typeof continuationData>,
): Promise<Draft> {
  const command: Command = {
    actor: SYSTEM,
    chains: [LOG_REF],
    decide: () => accept({ chain: LOG_CHAIN, type: LOG_CONTINUED, data, derived: {} }),
  };
  const renamed: Tip = { ...tip, origin: next.origin, vkey: next.vkey };
  const { tree, staging } = openStaging(desk, renamed, now, cache.nextSubject, cache.log);
  staging.learn(await cache.read([command], true));
  const result = stage(staging, command, null);
  if (result.kind === 'error') throw result.error;
  return seal(desk, renamed, now, tree, staging, []);
}

/**
 * The log goes on already: key file and head file follow, if they have not.
 * @returns null when there is nothing of the kind to finish
 */
async function finish({ keysDir, headFile }: Config, head: HeadRow, history: KeyHistory): Promise<Continued | null> {
  const said = history.continuations.at(-1);
  if (!said) return null;
  const key = LogKeys.open(keysDir, head.origin, head.vkey, history.vkeysNow);
  if (!key) throw new ContinueRefused(`the key in the keys folder is not the one of log ${head.origin}`);
  settleKey(keysDir, key.of(head.vkey), null, true);
  const note = await readHeadFile(headFile, history.vkeysNow);
  if (note !== null && history.vkeysNow.some((vkey) => isSignedBy(vkey, note))) return null;
  // The newest note is still one of the old log: the new one has begun no file of its own.
  const aside = note === null ? null : await setAside(headFile, keyIdOf(said.from));
  const file = await HeadFile.open(headFile, key);
  try {
    await file.append(head.checkpoint);
  } finally {
    await file.close();
  }
  return { said, headFile: aside };
}
