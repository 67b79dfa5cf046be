import { setImmediate } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { type Db, dbOf, placeholders, together } from '../../database/db.js';
import { toBase64 } from '../core/bytes.js';
import { entryTime } from '../core/record/entry.js';
import { lossInWords } from '../core/statements/continuation.js';
import { type KeyHistory, readKeyHistory } from '../read/key-history.js';
import { TILE_WIDTH } from '../core/tlog/tiles.js';
import { Clock } from '../../time/clock.js';
import type { ChainModel } from '../model.js';
import type { HeadRow } from '../store/tip.js';
import type { Vault } from '../keys/vault.js';
import { integer } from './cells.js';
import { ChainAudit } from './chains.js';
import { verifyClients } from './clients.js';
import { verifyCosignatures } from './cosignatures.js';
import { EntryAudit, TileAudit } from './entries.js';
import { type EntryPage, readPage, readTile } from './entry-pages.js';
import { verifyErasures } from './erasures.js';
import { shapeOf, tableName } from '../../database/declare.js';
import { readModelsVersion } from '../read-models/version.js';
import { readModelsOf } from '../store/tables.js';
import { checkHead, hasReadModelsOf, headToVerify, rememberedCheckpoint, type Signed, sizeToVerify } from './head.js';
import { PublishedAudit } from './published.js';
import { Findings, type Progress, type VerifyReport } from './report.js';
import { RequestMarks, verifyRequests } from './remembered-requests.js';
import { verifySubjects } from './subjects.js';

/** Entries that are read together: whole tiles. */
const PAGE = 16 * TILE_WIDTH;

export interface DatabaseToVerify {
  readonly source: DataSource;
  /** The key that checkpoints must be signed with; null: the one that the database names (it proves less). */
  readonly vkey: string | null;
  /** Where that key is from (default: `option`). */
  readonly vkeyFrom?: 'option' | 'keys';
  /** Null: payloads, snapshots and read models cannot be opened and are not checked. */
  readonly vault: Vault | null;
  /** Last checkpoint of the head file, null when there is none. */
  readonly remembered: string | null;
  readonly models: readonly ChainModel[];
  /** By which it is told what is too old to be remembered (default: the machine's). */
  readonly clock?: Clock;
}

/**
 * Verifies a whole database from one consistent snapshot of it, while others write.
 * Entries are hashed as stored; nothing is re-serialised. Whatever the tables hold ends in the report.
 * @throws DbError when the database does not answer or lacks a table
 */
export async function verifyDatabase(
  input: DatabaseToVerify,
  progress: (step: Progress) => void = () => undefined,
): Promise<VerifyReport> {
  const runner = input.source.createQueryRunner();
  const db = dbOf(runner);
  try {
    const locks = await readModelLocks(db, input.models);
    await db.query(db.dialect === 'postgres' ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN');
    for (const lock of locks) await db.query(lock);
    return await verifySnapshot(db, input, progress);
  } finally {
    await db.query('ROLLBACK').catch(() => undefined);
    await runner.release();
  }
}

/**
 * A table that is dropped and made anew after the snapshot looks empty in it on PostgreSQL: a rebuild of the read models
 * waits until they are verified.
 */
async function readModelLocks(db: Db, models: readonly ChainModel[]): Promise<string[]> {
  if (db.dialect !== 'postgres') return [];
  const names = readModelsOf(models).map(tableName);
  if (names.length === 0) return [];
  const there = await db.query<{ name: string }>(
    `SELECT relname::text AS name FROM pg_class
     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname IN ${placeholders(names)}`,
    names,
  );
  return there.map(({ name }) => `LOCK TABLE ${name} IN ACCESS SHARE MODE`);
}

async function verifySnapshot(
  db: Db,
  input: DatabaseToVerify,
  progress: (step: Progress) => void,
): Promise<VerifyReport> {
  const findings = new Findings();
  const head = await headToVerify(db);
  if (!head) findings.add('missing', 'log_head', {}, 'there is no log head');
  const vkey = input.vkey ?? head?.vkey ?? '';
  const history = await readKeyHistory(db, head?.origin ?? '', (index, what) =>
    findings.add('tampered', 'payload', { index }, what),
  );
  const about = {
    log: head?.origin ?? '',
    vkey,
    newestVkey: history.newest(vkey),
    continues: history.continuations.map(lossInWords),
    vkeyFrom: input.vkey === null ? 'database' : (input.vkeyFrom ?? 'option'),
    payloadsChecked: head !== null && input.vault !== null,
  } as const;
  if (!head) {
    return {
      ...counts(findings),
      ...about,
      size: 0,
      root: '',
      entries: 0,
      payloads: 0,
      signatures: 0,
      chains: 0,
      erased: 0,
      incomplete: 0,
    };
  }
  const signed = checkHead(head, about.newestVkey, findings);
  const size = await sizeToVerify(db, head, signed, findings);
  const audit = new EntryAudit(history.names, findings, 'entry');
  const remembered = rememberedCheckpoint(input.remembered, [vkey, ...history.vkeysNow], findings);
  const published = new PublishedAudit(db, (at) => history.signersAt(at, vkey), findings);
  await verifyEntries(db, size, audit, signed, remembered, history, published, findings, (done) =>
    progress({ step: 'entries', done, total: size }),
  );
  checkTime(head, audit, findings);
  if (remembered) checkLength(head, size, remembered, findings);
  await checkHandOvers(db, history, size, findings);
  await verifyCosignatures(db, findings);
  await verifySubjects(db, input.vault, findings);
  await verifyErasures(db, findings);
  await verifyClients(db, input.vault, findings);
  const checked = input.vault
    ? await verifyChains(db, input.vault, history, input, head, audit, findings, progress)
    : null;
  const orphans = await db.query<{ idx: number }>(
    'SELECT idx FROM payload WHERE idx NOT IN (SELECT idx FROM entry) LIMIT 50',
  );
  for (const { idx } of orphans) findings.add('tampered', 'payload', { index: integer(idx) }, 'has no entry');
  return {
    ...counts(findings),
    ...about,
    size,
    root: audit.tree.root().toString('base64'),
    entries: audit.verified,
    payloads: checked?.payloads ?? 0,
    signatures: checked?.signatures.verified ?? 0,
    chains: checked?.chains ?? 0,
    erased: checked?.erased ?? 0,
    incomplete: checked?.incomplete ?? 0,
  };
}

const counts = (findings: Findings) => ({
  ok: !findings.any,
  missing: findings.missing,
  tampered: findings.tampered,
  findings: findings.listed,
});

/** The head's instant to the minute, as the last entry carries it; the payloads know it to the millisecond. */
function checkTime(head: HeadRow, audit: EntryAudit, findings: Findings): void {
  // Where the last entry is missing or none, that is the finding.
  if (audit.timedAt < 0 || audit.timedAt !== audit.tree.size - 1) return;
  let minute = '';
  try {
    minute = entryTime(head.time);
  } catch {
    // No instant at all.
  }
  if (minute !== audit.time) findings.add('tampered', 'log_head', {}, 'time is not that of the last entry');
}

function checkLength(head: HeadRow, size: number, remembered: Signed, findings: Findings): void {
  if (remembered.size <= size && remembered.size <= head.size) return;
  const what = `the head file remembers ${remembered.size} entries: the log was set back or lost its end`;
  findings.add('missing', 'entry', { index: Math.min(size, head.size) }, what);
}

/** Whoever has pinned an old key needs the checkpoint by which it handed over. */
async function checkHandOvers(db: Db, { moves }: KeyHistory, size: number, findings: Findings): Promise<void> {
  for (const { size: before } of moves.filter((move) => move.size < size)) {
    const at = before + 1;
    const rows = await db.query('SELECT size FROM published WHERE size = ?', [at]);
    if (rows.length === 0)
      findings.add(
        'missing',
        'published',
        { size: at },
        "the checkpoint by which the log's key was replaced is not there",
      );
  }
}

async function verifyChains(
  db: Db,
  vault: Vault,
  { names }: KeyHistory,
  { models, clock = new Clock() }: Pick<DatabaseToVerify, 'models' | 'clock'>,
  head: HeadRow,
  entries: EntryAudit,
  findings: Findings,
  progress: (step: Progress) => void,
): Promise<ChainAudit> {
  const total = entries.chains.size;
  const marks = new RequestMarks(entries.tree.size, clock.now());
  const comparable = hasReadModelsOf(readModelsVersion(models), head, findings);
  const readModels = comparable ? readModelsOf(models).map(shapeOf) : [];
  const audit = new ChainAudit(db, vault, names, models, readModels, findings, marks);
  await audit.run(entries.chains, (done) => progress({ step: 'chains', done, total }));
  if (audit.lastIndex === marks.size - 1 && marks.size > 0 && Date.parse(audit.lastInstant) !== head.time)
    findings.add('tampered', 'log_head', {}, 'time is not that of the last entry');
  await verifyRequests(db, vault, marks, findings);
  return audit;
}

async function verifyEntries(
  db: Db,
  size: number,
  audit: EntryAudit,
  signed: Signed | null,
  remembered: Signed | null,
  history: KeyHistory,
  published: PublishedAudit,
  findings: Findings,
  progress: (done: number) => void,
): Promise<void> {
  const tileFindings = new Findings();
  const moves = new Map(history.moves.map((move) => [move.size, move]));
  const atSize = (): void => {
    published.at(audit.tree);
    if (remembered && audit.tree.size === remembered.size && !audit.tree.root().equals(remembered.root)) {
      findings.add(
        'tampered',
        'head file',
        { size: remembered.size },
        'the log differs from the checkpoint that it remembers',
      );
    }
    const move = moves.get(audit.tree.size);
    if (move && !audit.tree.root().equals(move.root))
      findings.add('tampered', 'payload', { index: move.size }, 'replaces the key of another tree');
  };
  const read = async (from: number): Promise<EntryPage> => {
    const to = Math.min(from + PAGE, size);
    const entries = () => readPage(db, from, to);
    const [page] = await together(db, entries, () => published.read(from, to));
    return page;
  };
  await published.read(-1, 0);
  let page = await read(0);
  const tiles = new TileAudit(async (level, index) => {
    const found = level === 0 ? page.leafTiles.get(index) : undefined;
    return found ?? readTile(db, level, index);
  }, tileFindings);
  atSize();
  for (let from = 0; from < size; from += PAGE) {
    const to = Math.min(from + PAGE, size);
    // The database reads on while this page is hashed; nothing else is asked of it meanwhile.
    const [next] = await Promise.all([to < size ? read(to) : null, takePage(page, from, to, audit, findings, atSize)]);
    await tiles.take(audit.tree);
    page = next ?? page;
    progress(to);
  }
  await tiles.finish(audit.tree);
  await published.finish(size);
  const root = audit.tree.root();
  if (signed && !root.equals(signed.root)) {
    findings.add('tampered', 'entry', {}, 'the entries do not give the root that is signed');
    for (const index of tiles.differing)
      findings.add('tampered', 'entry', { index }, 'is not the entry that the tree holds');
  } else {
    // The entries are what was signed: where a tile differs, the tile was edited.
    for (const { kind, table, where, what } of tileFindings.listed) findings.add(kind, table, where, what);
  }
  await findStrays(db, size, tiles.tiles, findings);
}

async function takePage(
  { idx, chain, seq, ends, bytes: stored, leafTiles }: EntryPage,
  from: number,
  to: number,
  audit: EntryAudit,
  findings: Findings,
  atSize: () => void,
): Promise<void> {
  const text = stored.toString('latin1');
  let at = 0;
  for (let index = from; index < to; index++) {
    // A question to the database takes several turns of the event loop to be on its way.
    if (index % TILE_WIDTH === 0) await setImmediate();
    if (idx[at] !== index) {
      findings.add('missing', 'entry', { index }, 'there is no such entry');
      // What the tile holds in its place lets the rest of the tree be checked.
      const tile = leafTiles.get(Math.floor(index / TILE_WIDTH));
      const leaf = tile?.subarray((index % TILE_WIDTH) * 32, (index % TILE_WIDTH) * 32 + 32);
      audit.tree.append(toBase64(leaf?.length === 32 ? leaf : new Uint8Array(32)));
    } else {
      const taken = audit.take(stored, text, ends[at - 1] ?? 0, ends[at]);
      if (taken.end && chain[at] !== taken.end.num)
        findings.add('tampered', 'entry', { index }, 'column chain is not that of its chain');
      if (taken.seq !== null && seq[at] !== taken.seq)
        findings.add('tampered', 'entry', { index }, 'column seq is not that of the entry');
      at++;
    }
    atSize();
  }
}

/** Rows that the log as signed does not have. */
async function findStrays(db: Db, size: number, expectedTiles: number, findings: Findings): Promise<void> {
  const beyond = await db.query<{ idx: number }>(
    'SELECT idx FROM entry WHERE idx >= ? OR idx < 0 ORDER BY idx LIMIT 50',
    [size],
  );
  for (const { idx } of beyond)
    findings.add('tampered', 'entry', { index: integer(idx) }, 'stands beyond the log head');
  const all = await db.query<Record<'level' | 'idx', unknown>>('SELECT level, idx FROM tile ORDER BY level, idx');
  if (all.length <= expectedTiles) return;
  for (const tile of all) {
    const [level, index] = [integer(tile.level), integer(tile.idx)];
    if (!(level >= 0 && index >= 0 && index * 256 < Math.floor(size / 256 ** level)))
      findings.add('tampered', 'tile', { level, index }, 'stands beyond the log head');
  }
}
