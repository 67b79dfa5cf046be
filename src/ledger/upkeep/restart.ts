import { randomBytes } from 'node:crypto';
import type { Clock } from '../../time/clock.js';
import type { Config } from '../../config/config.js';
import { migrate, openReader, openWriter } from '../../database/data-source.js';
import { type Db, dbOf } from '../../database/db.js';
import { openCheckpoint } from '../core/tlog/checkpoint.js';
import { type Continuation, formatContinuation, LOG_CONTINUED } from '../core/statements/continuation.js';
import { parseVerifierKey, signNote } from '../core/tlog/note.js';
import { HeadCache } from '../commit/head-cache.js';
import { endedHeadFiles, HeadFile, isSignedBy, readWholeHeadFile, setAside } from '../store/head-file.js';
import { type KeyHistory, readKeyHistory } from '../read/key-history.js';
import { logEventBatch, publishHandOver } from '../commit/rotation-batch.js';
import { raiseServed } from '../rows/served.js';
import type { LogKey } from '../crypto/log-key.js';
import { heldKeys, keyIdOf, LogKeys, oldKeyFiles, prepareKey, settleKey } from '../keys/log-key-files.js';
import { mustHoldKeys } from '../keys/missing-keys.js';
import type { ChainModel } from '../model.js';
import type { ReportFault } from '../unavailable.js';
import { Sealer } from '../crypto/sealer.js';
import { openStore, type Store } from '../store/store.js';
import { rebuildReadModels } from '../read-models/rebuild.js';
import { readModelsVersion } from '../read-models/version.js';
import { batchTables, readModelsOf } from '../store/tables.js';
import { type HeadRow, loadTip, readHead, storedRootAt, type Tip } from '../store/tip.js';
import { Vault } from '../keys/vault.js';
import { verifyDatabase } from '../verify/database.js';
import type { Progress } from '../verify/report.js';

/** Refused; the message tells the operator why. */
export class RestartRefused extends Error {}

export interface Continued {
  readonly said: Pick<Continuation, 'from' | 'to' | 'oldOrigin' | 'origin' | 'size' | 'remembered' | 'bothSigned'>;
  /** New path of the old head file; null when it was moved before. */
  readonly headFile: string | null;
  /**
   * Files of the log's old keys in the keys folder. The log no longer uses them; whoever holds them could still sign
   * with them.
   */
  readonly oldKeys: readonly string[];
}

/** The log that is about to end, shown to the person who confirms. */
export interface Ending {
  readonly log: string;
  /** Entries that the database holds. */
  readonly entries: number;
  /** Entries that the head file remembers beyond those. */
  readonly lost: number;
  /** Name of the log that goes on. */
  readonly next: string;
}

export interface ContinueHooks {
  readonly report: ReportFault;
  readonly progress?: (step: Progress) => void;
  /** Called after all checks and before any change. An interrupted run is finished without asking again. */
  readonly agree: (ending: Ending) => Promise<boolean>;
}

/** Chain heads kept in memory; the batch needs only one. */
const CACHED = 2;

/**
 * Continues a log under a new name and key, when its database has fewer entries than its head file remembers (design
 * 3). The service does not start meanwhile, since the head file is ahead of the database. One transaction appends the
 * event that records the continuation, and gives the head the new name and key. Then the key file and the head file
 * follow. After a crash, run it again to finish.
 * @param origin the new name; null: LOG_ORIGIN, or else a random one
 * @throws {RestartRefused} with everything unchanged
 */
export async function restartLog(
  config: Config,
  clock: Clock,
  models: readonly ChainModel[],
  origin: string | null,
  hooks: ContinueHooks,
): Promise<Continued> {
  const { report, progress = () => undefined, agree } = hooks;
  const source = await openWriter(config, readModelsOf(models));
  let store: Store | null = null;
  try {
    await migrate(source);
    const db = dbOf(source);
    const head = await readHead(db);
    if (!head) throw new RestartRefused('the database holds no log');
    const history = await readKeyHistory(db, head.origin);
    const begun = await finish(config, head, history);
    if (begun) return begun;
    await mustHoldKeys(db, config.keysDir, (reason) => new RestartRefused(reason));
    const remembered = await lost(config, db, head, report);
    const next = origin ?? newName(config, head);
    const taken = [
      head.origin,
      ...history.names.map((name) => name.origin),
      ...(await rememberedNames(config.headFile)),
    ];
    if (taken.includes(next))
      throw new RestartRefused(`the log was called ${next} already: it needs a name that nobody has pinned`);
    const vault = Vault.openExisting(config.keysDir, history.first);
    if (!vault) throw new RestartRefused(`there are no keys in ${config.keysDir}`);
    await rebuildReadModels(source, vault, models, { ifOlder: true });
    await mustVerify(config, head, vault, models, progress);
    const ending = { log: head.origin, entries: head.size, lost: remembered.size - head.size, next };
    if (!(await agree(ending))) throw new RestartRefused('it was not agreed to');
    store = await openStore(source, batchTables(models), readModelsVersion(models));
    const key = prepareKey(config.keysDir, next);
    await commit(store, config, clock, models, head, history, key, remembered, report);
  } finally {
    await (store ? store.close() : source.destroy());
  }
  // The database is changed now. The second call does the remaining steps, as after a crash.
  return restartLog(config, clock, models, origin, hooks);
}

/** The name in the settings if it is new, or else a name that no log has had. */
function newName({ env: { LOG_ORIGIN } }: Config, { origin }: HeadRow): string {
  return LOG_ORIGIN === undefined || LOG_ORIGIN === origin
    ? `rxledger.local/${randomBytes(8).toString('hex')}`
    : LOG_ORIGIN;
}

/** The last checkpoint of the log that ended, and the key that signed it. */
interface Remembered {
  readonly note: string;
  readonly by: string;
  readonly size: number;
}

/**
 * The head file's newest checkpoint. It is signed by the log's key, or by a successor whose replacement event was lost
 * but whose file is in the keys folder.
 * @throws {RestartRefused} when nothing was lost, or the head file belongs to another log
 */
async function lost(
  { headFile, keysDir }: Config,
  db: Db,
  { origin, vkey, size }: HeadRow,
  report: ReportFault,
): Promise<Remembered> {
  const notes = await readWholeHeadFile(headFile);
  const [newest] = notes;
  if (!newest) throw new RestartRefused('there is no head file: nothing says that the log was longer');
  const by = [vkey, ...heldKeys(keysDir, origin).map((key) => key.vkey)].find((key) => isSignedBy(key, newest.note));
  if (by === undefined) throw new RestartRefused(`the head file is not this log's${await hint(headFile)}`);
  if (newest.size <= size)
    throw new RestartRefused(
      `the ledger has ${size} entries, and its head file remembers no more: it goes on as it is`,
    );
  const [known] = notes.filter((one) => one.size <= size && isSignedBy(vkey, one.note));
  if (!known) report('ledger.beginning-not-shown', { entries: size, headFile: 'remembers nothing of that time' });
  else {
    const { root } = openCheckpoint(known.note, vkey);
    // A database that was written to without its head file has another history than the remembered one.
    if (known.size < size || !Buffer.from(root).equals(await storedRootAt(db, known.size)))
      throw new RestartRefused(
        `what is left is not what the head file remembers of ${size} entries: it was written to without it`,
      );
  }
  return { note: newest.note, by, size: newest.size };
}

/** When the head file belongs to another log, the database may be a backup from before the log took that name. */
async function hint(headFile: string): Promise<string> {
  const ended = await endedHeadFiles(headFile);
  return ended.length === 0
    ? ''
    : `: a log that went on under another name is not continued from before that (${ended.join(', ')})`;
}

/** The log names in the current head file and in those of ended logs. */
async function rememberedNames(headFile: string): Promise<string[]> {
  const files = [headFile, ...(await endedHeadFiles(headFile))];
  const notes = await Promise.all(files.map((file) => readWholeHeadFile(file)));
  return notes.flat().map(({ note }) => note.slice(0, note.indexOf('\n')));
}

async function mustVerify(
  config: Config,
  head: HeadRow,
  vault: Vault,
  models: readonly ChainModel[],
  progress: (step: Progress) => void,
): Promise<void> {
  const reader = await openReader(config);
  try {
    const input = { source: reader, vkey: head.vkey, vault, remembered: null, models };
    const { ok, missing, tampered } = await verifyDatabase(input, progress);
    if (!ok)
      throw new RestartRefused(
        `what is left does not verify (${tampered} tampered, ${missing} missing: \`rxledger log verify\` says where)`,
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
  { first }: KeyHistory,
  next: LogKey,
  remembered: Remembered,
  report: ReportFault,
): Promise<void> {
  const vault = new Vault(keysDir, first);
  const sealer = new Sealer(report);
  const old = heldKeys(keysDir, head.origin).find(({ vkey }) => vkey === head.vkey) ?? null;
  try {
    await store.locked(async () => {
      const tip = await loadTip(store.db);
      if (tip?.size !== head.size || tip.vkey !== head.vkey) throw new RestartRefused('somebody writes to the log');
      const cache = new HeadCache(store.db, vault, CACHED);
      await cache.begin();
      const keys = LogKeys.open(keysDir, next.origin, next.vkey) as LogKeys;
      const tools = { vault, keys, tables: batchTables(models) };
      const data = continuationData(old, next, tip, remembered);
      const now = Math.max(clock.now(), tip.time);
      const renamed: Tip = { ...tip, origin: next.origin, vkey: next.vkey };
      const { before, after, rows } = await logEventBatch(tools, cache, renamed, now, LOG_CONTINUED, data);
      const sealed = await rows?.sealed(sealer);
      if (!sealed || !(await store.write(before, after, sealed)))
        throw new RestartRefused("the database's clock is off this machine's, or somebody writes to the log");
      await store.db.query('UPDATE log_head SET origin = ?', [next.origin]);
      await publishHandOver(store.db, after);
      // Earlier checkpoints must not be served any more, even if witnesses have cosigned them.
      await raiseServed(store.db, after.size);
    });
  } finally {
    await sealer.close();
  }
}

/** Data of the event, signed by the new key and also by the old one if its file is still there. */
export function continuationData(old: LogKey | null, next: LogKey, tip: Tip, { note, by }: Remembered) {
  const [from, to] = [tip.vkey, next.vkey];
  const last = openCheckpoint(note, by);
  const said = { from, to, oldOrigin: tip.origin, origin: next.origin, size: tip.size, root: tip.root };
  const signers = [next.signer, ...(old ? [old.signer] : [])];
  const remembered = { remembered: note, ...(by !== from && { rememberedBy: by }) };
  return { from, to, ...remembered, statement: signNote(formatContinuation({ ...said, remembered: last }), signers) };
}

/**
 * Finishes a continuation that is already in the database: updates the key file and the head file if necessary.
 * @returns null when there is none to finish
 */
async function finish({ keysDir, headFile }: Config, head: HeadRow, history: KeyHistory): Promise<Continued | null> {
  const said = history.continuations.at(-1);
  if (!said) return null;
  const key = LogKeys.open(keysDir, head.origin, head.vkey, history.vkeysNow);
  if (!key) throw new RestartRefused(`the key in the keys folder is not the one of log ${head.origin}`);
  settleKey(keysDir, key.of(head.vkey), said.from, true);
  const [newest] = await readWholeHeadFile(headFile);
  const before = history.vkeys.filter((vkey) => parseVerifierKey(vkey).name === said.oldOrigin);
  const held = heldKeys(keysDir, said.oldOrigin).map(({ vkey }) => vkey);
  const isOld = newest && [...before, ...held].some((vkey) => isSignedBy(vkey, newest.note));
  // The head file was moved already, and nothing was written since.
  const isMoved = !newest && head.size === said.size + 1 && (await endedHeadFiles(headFile)).length > 0;
  if (!isOld && !isMoved) return null;
  const aside = isOld ? await setAside(headFile, keyIdOf(said.from)) : null;
  if (isOld && aside === null)
    throw new RestartRefused(
      `a head file of the log that ended is kept already (${(await endedHeadFiles(headFile)).join(', ')}): move it away`,
    );
  const file = await HeadFile.open(headFile, key);
  try {
    await file.append(head.checkpoint);
  } finally {
    await file.close();
  }
  return { said, headFile: aside, oldKeys: oldKeyFiles(keysDir, history.vkeys.slice(0, -1)) };
}
