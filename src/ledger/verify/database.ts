import type { DataSource } from 'typeorm';
import { type Db, dbOf, placeholders } from '../../database/db.js';
import { entryTime } from '../core/record/entry.js';
import { lossInWords } from '../core/statements/continuation.js';
import { type KeyHistory, readKeyHistory } from '../read/key-history.js';
import { Clock } from '../../time/clock.js';
import type { ChainModel } from '../model.js';
import type { HeadRow } from '../store/tip.js';
import type { Vault } from '../keys/vault.js';
import { integer } from './cells.js';
import { ChainAudit } from './chains.js';
import { verifyClients } from './clients.js';
import { verifyCosignatures } from './cosignatures.js';
import { EntryAudit } from './entries.js';
import { verifyErasures } from './erasures.js';
import { shapeOf, tableName } from '../../database/declare.js';
import { readModelsVersion } from '../read-models/version.js';
import { readModelsOf } from '../store/tables.js';
import { checkHead, hasReadModelsOf, headToVerify, rememberedCheckpoint, type Signed, sizeToVerify } from './head.js';
import { PublishedAudit } from './published.js';
import { Findings, type Progress, type VerifyReport } from './report.js';
import { RequestMarks, verifyRequests } from './requests.js';
import { verifyEntries } from './stored-entries.js';
import { verifySubjects } from './subjects.js';

export interface DatabaseToVerify {
  readonly source: DataSource;
  /** The key to trust; null: the one that the database names, which proves less. */
  readonly vkey: string | null;
  /** Source of that key (default: `option`). */
  readonly vkeyFrom?: 'option' | 'keys';
  /** Null: payloads, snapshots and read models cannot be opened and are not checked. */
  readonly vault: Vault | null;
  /** Last checkpoint of the head file; null when there is none. */
  readonly remembered: string | null;
  readonly models: readonly ChainModel[];
  /** Tells which requests are too old to be remembered (default: the machine's clock). */
  readonly clock?: Clock;
}

/**
 * Verifies a whole database from one consistent snapshot of it, while others write. Entries are hashed as stored,
 * without re-serialising. Bad content of any table becomes a finding, never an exception.
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
 * On PostgreSQL a table that is dropped and recreated looks empty in an older snapshot. The locks make a rebuild of the
 * read models wait until they are verified.
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

/** Compares the head's time with the last entry's, to the minute. Only payloads hold milliseconds. */
function checkTime(head: HeadRow, audit: EntryAudit, findings: Findings): void {
  // A missing or malformed last entry is already a finding.
  if (audit.timedAt < 0 || audit.timedAt !== audit.tree.size - 1) return;
  let minute = '';
  try {
    minute = entryTime(head.time);
  } catch {
    // The value is not an instant at all.
  }
  if (minute !== audit.time) findings.add('tampered', 'log_head', {}, 'time is not that of the last entry');
}

function checkLength(head: HeadRow, size: number, remembered: Signed, findings: Findings): void {
  if (remembered.size <= size && remembered.size <= head.size) return;
  const what = `the head file remembers ${remembered.size} entries: the log was set back or lost its end`;
  findings.add('missing', 'entry', { index: Math.min(size, head.size) }, what);
}

/** Checks that the checkpoint of each key replacement is stored. Whoever has pinned an old key needs it. */
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
