/**
 * Who may catch an operator, each as the check that it makes for real, with nothing but what it kept itself and
 * what the log shows it now.
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
import { KEY_REVOKED } from '../../src/ledger/actor-keys.js';
import { decodeEntry, LOG_CHAIN } from '../../src/ledger/core/entry.js';
import { holdsFor, parseDetachedJws } from '../../src/ledger/core/jws.js';
import { nobleCheck } from '../../src/ledger/core/public-key.js';
import { statementBytes, statementOf } from '../../src/ledger/core/statement.js';
import type { LedgerEvent } from '../../src/ledger/model.js';
import { nobleHasher } from '../../src/ledger/core/hasher.js';
import { consistencyProof, inclusionProof, rootOf } from '../../src/ledger/core/merkle.js';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/core/proof.js';
import { verifyReceipt } from '../../src/ledger/core/receipt.js';
import { tileNodeReader } from '../../src/ledger/core/tiles.js';
import { readKeyHistory } from '../../src/ledger/key-history.js';
import { dataKeyOf } from '../../src/ledger/history.js';
import { openEvent, splitPayload } from '../../src/ledger/payload.js';
import { readHead, tileReader } from '../../src/ledger/tip.js';
import { decrypt, Vault } from '../../src/ledger/vault.js';
import { erasureOf } from '../../src/ledger/verify/chain-rows.js';
import { EntryAudit, TileAudit } from '../../src/ledger/verify/entries.js';
import { Findings, type VerifyReport } from '../../src/ledger/verify/report.js';
import { temporaryFolder } from '../support/ledger.js';
import { submit } from './witness.js';
import { type Kept, ORIGIN } from './world.js';

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
  'actor key': actorKey,
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

interface ShownPayload {
  readonly idx: number;
  /** Null: it is not shown. */
  readonly open: (() => { salt: Buffer; text: string }) | null;
  /** Log index of the event that ended its chain in the clear, after which nothing else of the chain may be shown. */
  readonly erasedBy: number | null;
}

/** The payloads as they are shown to whoever is cleared; null where none can be opened. */
async function payloads({ folder, db, entries }: Shown): Promise<ShownPayload[] | null> {
  const head = await readHead(db);
  const { first } = await readKeyHistory(db, head?.origin ?? '');
  const vault = head && Vault.openExisting(join(folder, 'keys'), first);
  if (!vault) return null;
  const chains = await db.query<ChainRow>(`SELECT ${CHAIN_COLUMNS} ${CHAIN_FROM}`);
  const rows = await db.query<{ idx: number; chain: number; seq: number; body: Buffer | null }>(
    'SELECT e.idx, e.chain, e.seq, p.body FROM entry e LEFT JOIN payload p ON p.idx = e.idx ORDER BY e.idx',
  );
  const erased = new Map<number, number>();
  for (const row of rows) {
    const id = chains.find(({ num }) => num === row.chain)?.id ?? '';
    if (erasureOf({ ...row, entry: entries.get(row.idx) ?? Buffer.alloc(0) }, id)) erased.set(row.chain, row.idx);
  }
  return rows.map(({ idx, chain, seq, body }) => {
    const erasedBy = erased.get(chain) ?? null;
    if (!body) return { idx, erasedBy, open: null };
    const open = () => {
      const row = chains.find(({ num }) => num === chain) as ChainRow;
      if (row.id === LOG_CHAIN || erasedBy === idx) return splitPayload(body);
      return splitPayload(decrypt(dataKeyOf(vault, row), vault.aad('payload', row.id, seq, 'payload'), body));
    };
    return { idx, erasedBy, open };
  });
}

/**
 * Whoever is shown the payloads, and holds each against the entry beside it. Of a chain that ends with its erasure, in
 * the clear, nothing else may be shown.
 */
async function commitment(shown: Shown): Promise<string | null> {
  const { entries } = shown;
  const all = await payloads(shown);
  if (!all) return 'payloads cannot be opened';
  for (const { idx, erasedBy, open } of all) {
    if (erasedBy !== null) {
      if (open && idx !== erasedBy) return `payload ${idx} is shown, though its chain was erased`;
      continue;
    }
    if (!open) return `payload ${idx} is not shown`;
    try {
      const { salt, text } = open();
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

/**
 * Whoever knows an actor's public key from the actor, and is shown the payloads: what the log says in the actor's name
 * since they enrolled it must be signed with that key, each under a commandId of its own, and the log chain must not
 * say of their keys what they did not do.
 */
async function actorKey(shown: Shown, { actor }: Kept): Promise<string | null> {
  const commands = new Set<string>();
  for (const { idx, open } of (await payloads(shown)) ?? []) {
    let event: LedgerEvent;
    try {
      const { chain, seq } = decodeEntry(shown.entries.get(idx) ?? Buffer.alloc(0));
      event = openEvent((open as () => { text: string })().text, chain, seq);
      if (event.type === KEY_REVOKED && event.data['kid'] === actor.kid) return `entry ${idx} revokes the key`;
    } catch {
      // Shown to nobody, or no payload: it says nothing in anybody's name.
      continue;
    }
    if (event.actor?.id !== actor.account) continue;
    const { commandId = '', jws = '' } = event.signature ?? {};
    if (commands.has(commandId)) return `entry ${idx} repeats a command`;
    commands.add(commandId);
    const bytes = statementBytes(statementOf(ORIGIN, event, commandId));
    const holds = await attempt(async () => holdsFor(parseDetachedJws(jws), actor.jwk, bytes, nobleCheck));
    if (!holds) return `entry ${idx} is not signed with the key`;
  }
  return null;
}

/** The part of a verifier's work that a monitor does for each entry, in order. */
async function everyLeaf({ entries }: Shown, today: Checkpoint): Promise<string | null> {
  const findings = new Findings();
  const audit = new EntryAudit([{ origin: today.origin, from: 0 }], findings, 'entry');
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
  const audit = new EntryAudit([{ origin: today.origin, from: 0 }], findings, 'entry');
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
