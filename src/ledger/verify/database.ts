import type { DataSource } from 'typeorm';
import { type Db, dbOf } from '../../database/db.js';
import { openCheckpoint } from '../core/checkpoint.js';
import type { ChainModel } from '../model.js';
import { requestOf, requestSeal } from '../staging.js';
import { type HeadRow, readHead } from '../tip.js';
import type { SubjectRow, Vault } from '../vault.js';
import { ChainAudit } from './chains.js';
import { EntryAudit, TileAudit } from './entries.js';
import { Findings, type Progress, type VerifyReport } from './report.js';

/** Entries that are read together. */
const PAGE = 2000;

export interface DatabaseToVerify {
  readonly source: DataSource;
  /** The key that checkpoints must be signed with; null: the one that the database names (it proves less). */
  readonly vkey: string | null;
  /** Null: payloads, snapshots and read models cannot be opened and are not checked. */
  readonly vault: Vault | null;
  /** Last checkpoint of the head file, null when there is none. */
  readonly remembered: string | null;
  readonly models: readonly ChainModel[];
}

/**
 * Verifies a whole database from one consistent snapshot of it, while others write.
 * Entries are hashed as stored; nothing is re-serialised.
 * @throws Error when the database is no ledger at all
 */
export async function verifyDatabase(
  input: DatabaseToVerify,
  progress: (step: Progress) => void = () => undefined,
): Promise<VerifyReport> {
  const runner = input.source.createQueryRunner();
  const db = dbOf(runner);
  try {
    await db.query(db.dialect === 'postgres' ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN');
    return await verifySnapshot(db, input, progress);
  } finally {
    await db.query('ROLLBACK').catch(() => undefined);
    await runner.release();
  }
}

async function verifySnapshot(
  db: Db,
  input: DatabaseToVerify,
  progress: (step: Progress) => void,
): Promise<VerifyReport> {
  const findings = new Findings();
  const head = await readHead(db);
  if (!head) {
    findings.add('missing', 'log_head', {}, 'there is no log head');
    return {
      ...counts(findings),
      log: '',
      vkey: input.vkey ?? '',
      size: 0,
      root: '',
      entries: 0,
      payloads: 0,
      chains: 0,
      erased: 0,
    };
  }
  const vkey = input.vkey ?? head.vkey;
  const signedRoot = checkHead(head, vkey, findings);
  const audit = new EntryAudit(head.origin, findings, 'entry');
  const remembered = rememberedCheckpoint(input.remembered, vkey, findings);
  await verifyEntries(db, head, audit, signedRoot, remembered, findings, (done) =>
    progress({ step: 'entries', done, total: head.size }),
  );
  let payloads = 0;
  let chains = 0;
  let erased = 0;
  if (input.vault) {
    await verifySubjects(db, input.vault, findings);
    const total = audit.chains.size;
    const chainAudit = new ChainAudit(db, input.vault, input.models, findings);
    await chainAudit.run(audit.chains, (done) => progress({ step: 'chains', done, total }));
    ({ payloads, chains, erased } = chainAudit);
    if (chainAudit.lastInstant !== '' && Date.parse(chainAudit.lastInstant) !== head.time) {
      findings.add('tampered', 'log_head', {}, 'time is not that of the last entry');
    }
    await verifyRequests(db, input.vault, head.size, findings);
  }
  const orphans = await db.query<{ idx: number }>(
    'SELECT idx FROM payload WHERE idx NOT IN (SELECT idx FROM entry) LIMIT 50',
  );
  for (const { idx } of orphans) findings.add('tampered', 'payload', { index: idx }, 'has no entry');
  return {
    ...counts(findings),
    log: head.origin,
    vkey,
    size: head.size,
    root: Buffer.from(audit.tree.root()).toString('base64'),
    entries: audit.verified,
    payloads,
    chains,
    erased,
  };
}

const counts = (findings: Findings) => ({
  ok: !findings.any,
  missing: findings.missing,
  tampered: findings.tampered,
  findings: findings.listed,
});

/** @returns the root that the log's key signed, or null when no signature holds */
function checkHead(head: HeadRow, vkey: string, findings: Findings): Buffer | null {
  if (head.vkey !== vkey) findings.add('tampered', 'log_head', {}, 'vkey is not the one that the keys folder gives');
  try {
    const { origin, size, root } = openCheckpoint(head.checkpoint, vkey);
    if (origin !== head.origin) findings.add('tampered', 'log_head', {}, 'origin is not the one that is signed');
    if (size !== head.size) findings.add('tampered', 'log_head', {}, 'size is not the one that is signed');
    if (!Buffer.from(root).equals(head.root))
      findings.add('tampered', 'log_head', {}, 'root is not the one that is signed');
    return Buffer.from(root);
  } catch {
    findings.add('tampered', 'log_head', {}, "checkpoint is not signed by the log's key");
    return null;
  }
}

function rememberedCheckpoint(
  note: string | null,
  vkey: string,
  findings: Findings,
): { size: number; root: Buffer } | null {
  if (note === null) return null;
  try {
    const { size, root } = openCheckpoint(note, vkey);
    return { size, root: Buffer.from(root) };
  } catch {
    findings.add('tampered', 'head file', {}, "its last checkpoint is not signed by the log's key");
    return null;
  }
}

async function verifyEntries(
  db: Db,
  head: HeadRow,
  audit: EntryAudit,
  signedRoot: Buffer | null,
  remembered: { size: number; root: Buffer } | null,
  findings: Findings,
  progress: (done: number) => void,
): Promise<void> {
  const tileFindings = new Findings();
  const readTile = async (level: number, index: number): Promise<Uint8Array | null> => {
    const [row] = await db.query<{ hashes: Buffer }>('SELECT hashes FROM tile WHERE level = ? AND idx = ?', [
      level,
      index,
    ]);
    return row?.hashes ?? null;
  };
  const tiles = new TileAudit(readTile, tileFindings);
  const atRemembered = (): void => {
    if (remembered && audit.tree.size === remembered.size && !Buffer.from(audit.tree.root()).equals(remembered.root)) {
      findings.add(
        'tampered',
        'head file',
        { size: remembered.size },
        'the log differs from the checkpoint that it remembers',
      );
    }
  };
  atRemembered();
  for (let from = 0; from < head.size; from += PAGE) {
    const to = Math.min(from + PAGE, head.size);
    const rows = await db.query<{ idx: number; chain: number; seq: number; entry: Buffer }>(
      'SELECT idx, chain, seq, entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
      [from, to],
    );
    let at = 0;
    for (let index = from; index < to; index++) {
      const row = rows[at];
      if (row?.idx !== index) {
        findings.add('missing', 'entry', { index }, 'there is no such entry');
        // What the tile holds in its place lets the rest of the tree be checked.
        audit.tree.append(await storedLeaf(readTile, index));
      } else {
        at++;
        const { entry, end } = audit.take(row.entry);
        if (entry && end && row.chain !== end.num)
          findings.add('tampered', 'entry', { index }, 'column chain is not that of its chain');
        if (entry && row.seq !== entry.seq)
          findings.add('tampered', 'entry', { index }, 'column seq is not that of the entry');
      }
      atRemembered();
    }
    await tiles.take(audit.tree);
    audit.tree.settle();
    progress(to);
  }
  await tiles.finish(head.size);
  const root = Buffer.from(audit.tree.root());
  if (signedRoot && !root.equals(signedRoot)) {
    findings.add('tampered', 'entry', {}, 'the entries do not give the root that is signed');
    for (const index of tiles.differing)
      findings.add('tampered', 'entry', { index }, 'is not the entry that the tree holds');
  } else {
    // The entries are what was signed: where a tile differs, the tile was edited.
    for (const { kind, table, where, what } of tileFindings.listed) findings.add(kind, table, where, what);
  }
  if (remembered && remembered.size > head.size) {
    findings.add(
      'missing',
      'entry',
      { index: head.size },
      `the head file remembers ${remembered.size} entries: the log was set back or lost its end`,
    );
  }
  await findStrays(db, head.size, tiles.tiles, findings);
}

async function storedLeaf(
  readTile: (level: number, index: number) => Promise<Uint8Array | null>,
  index: number,
): Promise<Uint8Array> {
  const tile = await readTile(0, Math.floor(index / 256));
  const leaf = tile?.subarray((index % 256) * 32, (index % 256) * 32 + 32);
  return leaf?.length === 32 ? Uint8Array.from(leaf) : new Uint8Array(32);
}

/** Rows that the log as signed does not have. */
async function findStrays(db: Db, size: number, expectedTiles: number, findings: Findings): Promise<void> {
  const beyond = await db.query<{ idx: number }>(
    'SELECT idx FROM entry WHERE idx >= ? OR idx < 0 ORDER BY idx LIMIT 50',
    [size],
  );
  for (const { idx } of beyond) findings.add('tampered', 'entry', { index: idx }, 'stands beyond the log head');
  const all = await db.query<{ level: number; idx: number }>('SELECT level, idx FROM tile ORDER BY level, idx');
  if (all.length > expectedTiles) {
    for (const { level, idx } of all) {
      if (level < 0 || idx < 0 || idx * 256 >= Math.floor(size / 256 ** level)) {
        findings.add('tampered', 'tile', { level, index: idx }, 'stands beyond the log head');
      }
    }
  }
}

async function verifySubjects(db: Db, vault: Vault, findings: Findings): Promise<void> {
  for (let after = Number.MIN_SAFE_INTEGER; ;) {
    const rows = await db.query<SubjectRow>(
      'SELECT num, id, kek, wrapped_key FROM subject WHERE num > ? ORDER BY num LIMIT ?',
      [after, PAGE],
    );
    for (const row of rows) {
      try {
        vault.remember(vault.unwrapSubjectKey(row));
      } catch {
        findings.add('tampered', 'subject', { num: row.num }, 'its key does not open');
      }
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.num;
  }
}

async function verifyRequests(db: Db, vault: Vault, size: number, findings: Findings): Promise<void> {
  let after: Buffer = Buffer.alloc(0);
  for (;;) {
    const rows = await db.query<{ key: Buffer; request: Buffer; first: number; count: number; chains: string }>(
      'SELECT key, request, first, count, chains FROM idempotency WHERE key > ? ORDER BY key LIMIT ?',
      [after, PAGE],
    );
    for (const { key, request, first, count, chains } of rows) {
      const mac = requestOf(request);
      const sealed = requestSeal(vault, key, mac, first, count, chains);
      if (first + count > size || !request.subarray(mac.length).equals(sealed)) {
        findings.add('tampered', 'idempotency', { first }, 'is not what the writer stored');
      }
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.key;
  }
}
