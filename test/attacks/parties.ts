/**
 * Who may catch an operator, each as the check that it makes for real, with nothing but what it kept itself and
 * what the log shows it now. Actors' signatures are not among them: no event carries one yet.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { runVerify, type VerifyOptions } from '../../src/cli/verify.js';
import { EXIT } from '../../src/cli/terminal.js';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { type Db, dbOf } from '../../src/database/db.js';
import { CHAIN_COLUMNS, CHAIN_FROM, type ChainRow } from '../../src/ledger/chain-head.js';
import { fromBase64, toBase64 } from '../../src/ledger/core/bytes.js';
import { type Checkpoint, openCheckpoint } from '../../src/ledger/core/checkpoint.js';
import { isCommitted, parsePayload } from '../../src/ledger/core/commitment.js';
import { decodeEntry } from '../../src/ledger/core/entry.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { consistencyProof, inclusionProof, rootOf } from '../../src/ledger/core/merkle.js';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/core/proof.js';
import { verifyReceipt } from '../../src/ledger/core/receipt.js';
import { tileNodeReader } from '../../src/ledger/core/tiles.js';
import { dataKeyOf } from '../../src/ledger/history.js';
import { splitPayload } from '../../src/ledger/payload.js';
import { readHead, tileReader } from '../../src/ledger/tip.js';
import { decrypt, Vault } from '../../src/ledger/vault.js';
import { erasureOf } from '../../src/ledger/verify/chain-rows.js';
import { EntryAudit, TileAudit } from '../../src/ledger/verify/entries.js';
import { Findings, type VerifyReport } from '../../src/ledger/verify/report.js';
import { temporaryFolder } from '../support/ledger.js';
import { submit } from './witness.js';
import type { Kept } from './world.js';

/** What the log shows to the world: checkpoint, tiles, entries; payloads to whoever is cleared. */
export interface Shown {
  readonly folder: string;
  readonly db: Db;
  readonly checkpoint: string;
  /** By log index; an entry that is gone is not shown. */
  readonly entries: ReadonlyMap<number, Buffer>;
  readonly tile: (level: number, index: number) => Promise<Uint8Array>;
}

/** @returns what gives the operator away; null when the party sees nothing */
export type Check = (shown: Shown, kept: Kept) => Promise<string | null>;

/** In the order of the table. */
export const PARTIES = {
  verify,
  commitment,
  'root rebuild': rebuild,
  'auditor state': auditor,
  witness,
  receipt,
} as const satisfies Record<string, Check>;
export type Party = keyof typeof PARTIES;
export const PARTY_NAMES = Object.keys(PARTIES) as Party[];

/** Opens what a data folder shows, as the service over it would. */
export async function show(folder: string): Promise<{ shown: Shown; close: () => Promise<void> }> {
  const source: DataSource = await openSqliteReadOnly(join(folder, 'rxledger.sqlite'));
  const db = dbOf(source);
  const head = await readHead(db);
  const rows = await db.query<{ idx: number; entry: Buffer }>('SELECT idx, entry FROM entry ORDER BY idx');
  const entries = new Map(rows.map(({ idx, entry }) => [idx, entry]));
  const shown = { folder, db, checkpoint: head?.checkpoint ?? '', entries, tile: tileReader(db) };
  return { shown, close: () => source.destroy() };
}

/** The operator's own `rxledger verify`, with the keys and the head file that the operator has. */
async function verify({ folder }: Shown): Promise<string | null> {
  const { exit, report } = await verifyReport(folder);
  if (exit === EXIT.ok && report.ok && report.payloadsChecked) return null;
  return report.findings.map(({ table, where, what }) => `${table} ${JSON.stringify(where)} ${what}`).join('; ');
}

/** What the command line prints with `--json`. */
export async function verifyReport(
  folder: string,
  options: VerifyOptions = {},
): Promise<{ exit: number; report: VerifyReport }> {
  let printed = '';
  const quiet = { err: () => undefined, status: () => undefined, watched: false, env: {}, stdout: process.stdout };
  const terminal = { ...quiet, out: (line: string) => void (printed += line) };
  const exit = await runVerify(folder, { ...options, json: true, progress: false }, terminal);
  return { exit, report: JSON.parse(printed) as VerifyReport };
}

/**
 * Whoever is shown the payloads, and holds each against the entry beside it. Of a chain that ends with its erasure, in
 * the clear, nothing else may be shown.
 */
async function commitment({ folder, db, entries }: Shown): Promise<string | null> {
  const head = await readHead(db);
  const vault = head && Vault.openExisting(join(folder, 'keys'), head.origin);
  if (!vault) return 'payloads cannot be opened';
  const chains = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM}`);
  const rows = await db.query<{ idx: number; chain: number; seq: number; body: Buffer | null }>(
    'SELECT e.idx, e.chain, e.seq, p.body FROM entry e LEFT JOIN payload p ON p.idx = e.idx ORDER BY e.idx',
  );
  const erased = new Map<number, number>();
  for (const row of rows) {
    const id = chains.find(({ num }) => num === row.chain)?.id ?? '';
    if (erasureOf({ ...row, entry: entries.get(row.idx) ?? Buffer.alloc(0) }, id)) erased.set(row.chain, row.idx);
  }
  for (const { idx, chain, seq, body } of rows) {
    if (erased.has(chain)) {
      if (body && idx !== erased.get(chain)) return `payload ${idx} is shown, though its chain was erased`;
      continue;
    }
    if (!body) return `payload ${idx} is not shown`;
    try {
      const row = chains.find(({ num }) => num === chain) as ChainRow;
      const sealed = decrypt(dataKeyOf(vault, row), vault.aad('payload', row.id, seq, 'payload'), body);
      const { salt, text } = splitPayload(sealed);
      const { commitment: committed } = decodeEntry(entries.get(idx) ?? Buffer.alloc(0));
      if (!isCommitted(nobleHasher, committed, salt, parsePayload(text)))
        return `payload ${idx} is not what its entry commits to`;
    } catch {
      return `payload ${idx} does not open, or its entry is none`;
    }
  }
  return null;
}

/**
 * Anybody who comes without a memory: pins the key, takes the checkpoint and all entries that the log shows today,
 * checks every link against its own leaf, rebuilds the tree and holds root and every tile against it.
 */
async function rebuild(shown: Shown, { vkey }: Pick<Kept, 'vkey'>): Promise<string | null> {
  const today = signedBy(vkey, shown.checkpoint);
  if (!today) return 'the checkpoint is not signed by the key';
  return (await everyLeaf(shown, today)) ?? everyTile(shown, today);
}

/** An auditor who follows the log: every leaf, as above, and a checkpoint kept from earlier. */
async function auditor(shown: Shown, { vkey, checkpoint }: Kept): Promise<string | null> {
  const today = signedBy(vkey, shown.checkpoint);
  if (!today) return 'the checkpoint is not signed by the key';
  const kept = openCheckpoint(checkpoint, vkey);
  const forked = await continues(shown, kept, today);
  if (forked) return forked;
  const leaves = Array.from({ length: kept.size }, (_, at) =>
    nobleHasher.leaf(shown.entries.get(at) ?? Buffer.alloc(0)),
  );
  if (!same(rootOf(nobleHasher, leaves), kept.root)) return 'the entries do not give the root that was kept';
  return everyLeaf(shown, today);
}

/**
 * The witness itself, with the checkpoint in its folder that it cosigned last. It sees checkpoints and consistency
 * proofs, never an entry; it is asked in every way that may make it cosign.
 */
async function witness(shown: Shown, { vkey, checkpoint, witness: folder }: Kept): Promise<string | null> {
  const { size: size1 } = openCheckpoint(checkpoint, vkey);
  const size2 = sizeIn(shown.checkpoint);
  const proof = await attempt(() => consistencyProof(nobleHasher, size1, size2, nodesOf(shown)));
  const lines = (proof ?? []).map((hash) => `${toBase64(hash)}\n`).join('');
  const refused: number[] = [];
  for (const body of [`old ${size1}\n${lines}\n${shown.checkpoint}`, `old 0\n\n${shown.checkpoint}`]) {
    const copy = temporaryFolder();
    cpSync(folder, copy.path, { recursive: true });
    const { status } = await submit(copy.path, vkey, body);
    copy.remove();
    if (status === 200) return null;
    refused.push(status);
  }
  return `no cosignature: ${refused.join(', ')}`;
}

/** Whoever wrote an entry: holds the receipt against what the log shows at that index today. */
async function receipt(shown: Shown, { vkey, receipts }: Kept): Promise<string | null> {
  const today = signedBy(vkey, shown.checkpoint);
  if (!today) return 'the checkpoint is not signed by the key';
  for (const held of receipts) {
    const { index, entry, checkpoint } = held;
    if (!verifyReceipt(held, vkey).ok) throw new Error('a receipt of the honest log must hold for ever');
    const forked = await continues(shown, openCheckpoint(checkpoint, vkey), today);
    if (forked) return forked;
    if (shown.entries.get(index)?.toString('base64') !== entry) return `entry ${index} is not that of the receipt`;
    const leaf = nobleHasher.leaf(fromBase64(entry));
    const proof = await attempt(() => inclusionProof(nobleHasher, index, today.size, nodesOf(shown)));
    if (!proof || !verifyInclusion(nobleHasher, { index, size: today.size, leaf, proof, root: today.root }).ok)
      return `entry ${index} is not proven`;
  }
  return null;
}

/** The part of a verifier's work that a monitor does for each entry, in order. */
async function everyLeaf({ entries }: Shown, today: Checkpoint): Promise<string | null> {
  const findings = new Findings();
  const audit = new EntryAudit(today.origin, findings, 'entry');
  for (let index = 0; index < today.size; index++) {
    const bytes = entries.get(index);
    if (!bytes) return `entry ${index} is not shown`;
    audit.take(leafInput(bytes));
  }
  const [first] = findings.listed;
  if (first) return `entry ${first.where['index']} ${first.what}`;
  return same(audit.tree.root(), today.root) ? null : 'the entries do not give the root that is signed';
}

/** As a leaf hash takes it (RFC 6962 section 2.1). */
const leafInput = (entry: Uint8Array = new Uint8Array()): Buffer => Buffer.concat([Buffer.of(0), entry]);

async function everyTile({ entries, tile }: Shown, today: Checkpoint): Promise<string | null> {
  const findings = new Findings();
  const audit = new EntryAudit(today.origin, findings, 'entry');
  for (let index = 0; index < today.size; index++) audit.take(leafInput(entries.get(index)));
  const tiles = new TileAudit(tile, findings);
  await tiles.finish(audit.tree);
  const [first] = findings.listed;
  return first ? `${first.table} ${JSON.stringify(first.where)} ${first.what}` : null;
}

/** @returns why today's tree does not continue the earlier one, by the proof that the log's tiles give; null: it does */
async function continues(shown: Shown, earlier: Checkpoint, today: Checkpoint): Promise<string | null> {
  const { size: size1, root: root1 } = earlier;
  const { size: size2, root: root2 } = today;
  if (size2 < size1) return `the log has ${size2} entries and had ${size1}`;
  const proof = await attempt(() => consistencyProof(nobleHasher, size1, size2, nodesOf(shown)));
  const result = proof && verifyConsistency(nobleHasher, { size1, size2, root1, root2, proof });
  return result?.ok ? null : `no proof leads from ${size1} to ${size2} entries`;
}

/** Of a checkpoint whatever signs it; NaN where it names none. */
const sizeIn = (note: string): number => Number(note.split('\n')[1]);
const nodesOf = ({ tile }: Shown) => tileNodeReader(nobleHasher, tile);
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

function signedBy(vkey: string, note: string): Checkpoint | null {
  try {
    return openCheckpoint(note, vkey);
  } catch {
    return null;
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}
