/**
 * Whoever may catch an operator, each as the check that it makes for real. It has nothing but what it kept itself and
 * what the log shows it now.
 */
import type { Kept } from './kept.js';
import type { Receipt } from '../../src/ledger/core/record/receipt.js';
import type { LedgerEvent } from '../../src/ledger/core/record/event.js';
import { runVerify, type VerifyOptions } from '../../src/cli/ledger/verify.js';
import { EXIT } from '../../src/cli/terminal.js';
import { KEY_REVOKED } from '../../src/ledger/log-chain/actor-keys.js';
import type { Checkpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { isCommitted, parsePayload } from '../../src/ledger/core/record/commitment.js';
import { decodeEntry } from '../../src/ledger/core/record/entry.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { holdsFor, parseDetachedJws } from '../../src/ledger/core/record/jws.js';
import { nobleCheck } from '../../src/ledger/core/record/public-key.js';
import { statementBytes, statementOf } from '../../src/ledger/core/record/statement.js';
import { openEvent } from '../../src/ledger/store/payload.js';
import { EntryAudit, TileAudit } from '../../src/ledger/verify/entries.js';
import { Findings, type VerifyReport } from '../../src/ledger/verify/report.js';
import { testTerminal } from '../support/terminal.js';
import { follow, twoFollowers } from './followers.js';
import { chainHead, keptCheckpoint, receipt } from './receipts.js';
import { payloads, type Shown } from './shown.js';
import { openedBy } from './trust.js';
import { policy, witness } from './witnesses.js';
import { ORIGIN } from './world.js';

/** @returns what gives the operator away; null when the party sees nothing */
export type Check = (shown: Shown, kept: Kept) => Promise<string | null>;

/** In the order of the table. */
export const PARTIES = {
  verify,
  commitment,
  'root rebuild': rebuild,
  follow,
  'two followers': twoFollowers,
  witness,
  policy,
  receipt,
  'chain head': chainHead,
  'kept checkpoint': keptCheckpoint,
  'actor key': actorKey,
} as const satisfies Record<string, Check>;
export type Party = keyof typeof PARTIES;
export const PARTY_NAMES = Object.keys(PARTIES) as Party[];

const reports = new WeakMap<Shown, ReturnType<typeof verifyReport>>();

/** `rxledger log verify --vkey` on the operator's database, with the keys and the head file that the operator has. Run once. */
export function verified(shown: Shown, { vkey }: Pick<Kept, 'vkey'>): ReturnType<typeof verifyReport> {
  const report = reports.get(shown) ?? verifyReport(shown.folder, { vkey });
  reports.set(shown, report);
  return report;
}

async function verify(shown: Shown, kept: Kept): Promise<string | null> {
  const { exit, report } = await verified(shown, kept);
  if (exit === EXIT.ok && report.ok && report.payloadsChecked) return null;
  return report.findings.map(({ table, where, what }) => `${table} ${JSON.stringify(where)} ${what}`).join('; ');
}

/** What the command line prints with `--json`. */
export async function verifyReport(
  folder: string,
  options: VerifyOptions = {},
): Promise<{ exit: number; report: VerifyReport }> {
  const { terminal, said } = testTerminal();
  const exit = await runVerify(folder, { ...options, json: true, progress: false }, terminal);
  return { exit, report: JSON.parse(said.out.join('')) as VerifyReport };
}

/**
 * Whoever is shown the payloads, and holds each against the entry beside it. If a chain ends with its erasure, in
 * the clear, nothing else of it may be shown.
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
      if (!isCommitted(nodeHasher, committed, salt, parsePayload(text)))
        return `payload ${idx} is not what its entry commits to`;
    } catch {
      return `payload ${idx} does not open, or its entry is none`;
    }
  }
  return null;
}

/**
 * Anybody who comes without a memory pins the key, goes along where it was replaced, and takes what the log shows
 * today: the checkpoint and all entries. They check every link against its own leaf, rebuild the tree and hold root and
 * every tile against it.
 */
async function rebuild(shown: Shown, { vkey }: Pick<Kept, 'vkey'>): Promise<string | null> {
  const today = openedBy(vkey, await rotationsShown(shown), shown.checkpoint)?.checkpoint;
  if (!today) return 'the checkpoint is not signed by the key';
  return (await everyLeaf(shown, today)) ?? everyTile(shown, today);
}

/** As `/log/rotations` serves them. */
async function rotationsShown({ files }: Shown): Promise<Receipt[]> {
  const served = (await files('rotations')) ?? Buffer.from('{"items":[]}');
  return (JSON.parse(Buffer.from(served).toString()) as { items: Receipt[] }).items;
}

/**
 * Whoever knows an actor's public key from the actor, and is shown the payloads. What the log says in the actor's name
 * since they enrolled it must be signed with that key, each under a commandId of its own. The log chain must not say of
 * their keys what they did not do.
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

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b);

async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch {
    return null;
  }
}
