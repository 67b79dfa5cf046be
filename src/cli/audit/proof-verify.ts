import { readFile } from 'node:fs/promises';
import { CHAIN_MODELS } from '../../chain-models.js';
import { hasNoPlaceOn } from '../../log/chains/on-list.js';
import { EncodingError, toBase64 } from '../../ledger/core/bytes.js';
import { compareWithHead, compareWithList } from '../../ledger/core/statements/compare-heads.js';
import { verifyChainList } from '../../ledger/core/statements/chain-list-note.js';
import { ChainHeadError, parseChainHeadKey, verifyChainHead } from '../../ledger/core/statements/chain-head-note.js';
import { CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { verifyDisclosure } from '../../ledger/core/record/disclosure.js';
import { decodeEntry, EntryError } from '../../ledger/core/record/entry.js';
import { isObject } from '../../ledger/core/jcs.js';
import {
  type Continuation,
  ContinuationError,
  openContinuationReceipt,
  vouchedFor,
} from '../../ledger/core/statements/continuation.js';
import {
  openRotationReceipt,
  policyFor,
  replacedTwice,
  type Rotation,
  RotationError,
} from '../../ledger/core/statements/key-rotation.js';
import { NoteError, parseVerifierKey, type VerifierKey } from '../../ledger/core/tlog/note.js';
import { logsOnly, nameInLog, parsePolicy, type Policy, PolicyError } from '../../ledger/core/tlog/policy.js';
import type { PublicJwk } from '../../ledger/core/record/public-key.js';
import { verifyReceipt, type Receipt } from '../../ledger/core/record/receipt.js';
import { STATED, type ShownSignature, shownSignature } from '../../ledger/core/record/statement.js';
import type { TlogProof } from '../../ledger/core/tlog/tlog-proof.js';
import { publicKeysIn } from '../keys/actor-key.js';
import { documentsIn, type ProofDocument } from './proof-documents.js';
import {
  holds,
  inJson,
  inWords,
  type ProofComparison,
  type ProofReason,
  type ProofReport,
  type ProofResult,
  type Unchecked,
} from './proof-report.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal, UsageError } from '../terminal.js';

export interface ProofVerifyOptions extends CommonOptions {
  readonly vkey: readonly string[];
  /** A file in the form of C2SP tlog-policy. */
  readonly policy?: string;
  /** What `/log/rotations` served, or `rxledger rotate-log-key --json` printed. */
  readonly rotations?: string;
  /** What `/log/continued` served. */
  readonly continued?: string;
  readonly chainHeadVkey?: string;
  /** The entry's bytes in a file, for a tlog-proof. */
  readonly entry?: string;
  /** A file with public keys of an actor. */
  readonly actorKey?: string;
}

/** What the verifier has pinned; what stands in the files is never trusted. */
interface Trust {
  readonly policy: Policy | null;
  /** How the keys of logs were replaced: trust passes on along them. */
  readonly rotations: readonly Rotation[];
  readonly chainHeadKey: VerifierKey | null;
  readonly entry: Uint8Array | null;
  /** Null: signatures of actors are not asked for. */
  readonly actorKeys: readonly PublicJwk[] | null;
}

const NOTHING: ProofDocument = { kind: 'unknown' };

/** `rxledger proof verify`: needs files alone: no settings, no database, no network. */
export async function runProofVerify(
  files: readonly string[],
  options: ProofVerifyOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  const trust = await trustOf(options);
  const documents: { file: string; document: ProofDocument }[] = [];
  const unchecked: Unchecked[] = [];
  for (const file of files) {
    const { documents: found, beside } = documentsIn(await contentOf(file));
    // A list that is empty proves nothing, and is no proof.
    for (const [at, document] of (found.length > 0 ? found : [NOTHING]).entries()) {
      documents.push({ file: found.length > 1 ? `${file} (${at + 1} of ${found.length})` : file, document });
    }
    if (beside.length > 0) unchecked.push({ file, members: beside });
  }
  // What is unknown may be a proof that is broken, and is told as that.
  const kinds = documents.map(({ document }) => document.kind);
  const proofs = kinds.filter((kind) => kind === 'tlog-proof').length;
  if (trust.entry && (proofs > 1 || (proofs === 0 && !kinds.includes('unknown'))))
    throw new UsageError('--entry is the entry of one tlog-proof');
  const results = documents.map(({ file, document }) => check(file, document, trust));
  const report: ProofReport = { results, unchecked, comparisons: compared(results, trust.policy ?? {}) };
  if (options.json) terminal.out(JSON.stringify(inJson(report)));
  else for (const line of inWords(report)) terminal.out(line);
  return holds(report) ? EXIT.ok : EXIT.finding;
}

function check(file: string, document: ProofDocument, trust: Trust): ProofResult {
  if (document.kind === 'unknown') return { file, kind: document.kind, ok: false, reason: 'form' };
  if (document.kind === 'chain-head' || document.kind === 'chain-list') return checkStatement(file, document, trust);
  if (!trust.policy) throw new UsageError(`${file} is checked with --vkey <vkey> or --policy <file>`);
  const { actorKeys } = trust;
  const policy = policyFor(trust.policy, trust.rotations, checkpointOf(document));
  if (document.kind === 'disclosure') {
    const result = verifyDisclosure(document.disclosure, policy);
    if (!result.ok) return { file, kind: document.kind, ...result };
    const { disclosed, withheld, entry } = result;
    const isWhole = STATED.every((name) => Object.hasOwn(disclosed, name)) && !withheld.includes('signature');
    const signature = isWhole ? shownSignature(disclosed, entry, actorKeys ?? []) : undefined;
    const lacks = actorKeys && lacking(signature, disclosed);
    if (lacks) return { file, kind: document.kind, ok: false, reason: lacks };
    return { file, kind: document.kind, ok: true, shown: result, ...(signature && { signature }) };
  }
  if (document.kind === 'receipt')
    return checkReceipt(file, document.kind, document.receipt as Receipt, policy, actorKeys);
  const receipt = receiptOf(file, document.proof, trust);
  if (!receipt) return { file, kind: document.kind, ok: false, reason: 'entry' };
  return checkReceipt(file, document.kind, receipt, policy, actorKeys);
}

/** The note that a document holds, wherever its kind has it; empty where it holds none. */
function checkpointOf(document: Extract<ProofDocument, { kind: 'receipt' | 'disclosure' | 'tlog-proof' }>): string {
  if (document.kind === 'tlog-proof') return document.proof.checkpoint;
  const holder = document.kind === 'receipt' ? document.receipt : document.disclosure;
  const checkpoint = isObject(holder) ? holder['checkpoint'] : undefined;
  return typeof checkpoint === 'string' ? checkpoint : '';
}

function checkReceipt(
  file: string,
  kind: 'receipt' | 'tlog-proof',
  receipt: Receipt,
  policy: Policy,
  actorKeys: readonly PublicJwk[] | null,
): ProofResult {
  const result = verifyReceipt(receipt, policy);
  if (!result.ok) return { file, kind, ...result };
  const { payload, entry } = result;
  const signature = payload ? shownSignature(payload, entry, actorKeys ?? []) : undefined;
  const lacks = actorKeys && lacking(signature, payload);
  if (lacks) return { file, kind, ok: false, reason: lacks };
  return { file, kind, ok: true, shown: result, ...(signature && { signature }) };
}

/** @returns why it is not shown that the actor signed it; null when it is, or when it is what nobody signs */
function lacking(
  signature: ShownSignature | undefined,
  shown: Readonly<Record<string, unknown>> | null | undefined,
): ProofReason | null {
  if (!signature || !shown || (signature.state === 'none' && shown['kind'] === undefined)) return 'actor-unknown';
  if (signature.state === 'holds' || (signature.state === 'none' && !isSignable(shown))) return null;
  return 'actor-signature';
}

/** Whether it says what somebody who signs has signed: what follows from it the server adds. */
function isSignable({ kind, type }: Readonly<Record<string, unknown>>): boolean {
  return CHAIN_MODELS.some((model) => model.kind === kind && model.signable?.includes(String(type)));
}

function checkStatement(
  file: string,
  { kind, note }: Extract<ProofDocument, { note: string }>,
  { chainHeadKey }: Trust,
): ProofResult {
  if (!chainHeadKey) throw new UsageError(`${file} is checked with --chain-head-vkey <vkey>`);
  if (kind === 'chain-head') {
    const result = verifyChainHead(note, chainHeadKey);
    return result.ok ? { file, kind, ok: true, shown: result.head } : { file, kind, ...result };
  }
  const result = verifyChainList(note, chainHeadKey);
  return result.ok ? { file, kind, ok: true, shown: result.list } : { file, kind, ...result };
}

/** What a tlog-proof leaves out, the entry itself says. @returns null when the bytes are no entry */
function receiptOf(file: string, { index, proof, checkpoint }: TlogProof, { entry: bytes }: Trust): Receipt | null {
  if (!bytes) throw new UsageError(`${file} is checked with --entry <file>, the entry's bytes`);
  try {
    const { log: name } = decodeEntry(bytes);
    // An entry of before its log went on under another name carries the old one.
    const log = checkpoint.slice(0, Math.max(0, checkpoint.indexOf('\n'))) || name;
    return { v: 1, log, index, entry: toBase64(bytes), proof: proof.map(toBase64), checkpoint };
  } catch (error) {
    if (error instanceof EntryError || error instanceof EncodingError) return null;
    throw error;
  }
}

type Held = Extract<ProofResult, { shown: { entry: object } }>;
type Stated = Extract<ProofResult, { kind: 'chain-head' | 'chain-list'; ok: true }>;

/** Every receipt that holds with every chain head and list that holds, as far as they speak of the same chain. */
function compared(results: readonly ProofResult[], names: Pick<Policy, 'continued'>): ProofComparison[] {
  const stated = results.filter((result): result is Stated => result.ok && !('entry' in result.shown));
  return results.flatMap((receipt) => {
    if (!receipt.ok || !('entry' in receipt.shown)) return [];
    const held = receipt as Held;
    const pair = { receipt: held.file, chain: held.shown.entry.chain };
    const found = stated.flatMap((statement): ProofComparison[] => {
      const comparison = comparedWith(held, statement, names);
      return comparison === 'unrelated' ? [] : [{ ...pair, against: statement.file, comparison }];
    });
    // Its head says where the chain stands, whatever lists leave out.
    const heads = stated.filter((one) => one.kind === 'chain-head' && one.shown.size > held.shown.index);
    if (heads.some((head) => comparedWith(held, head, names) !== 'unrelated')) return found;
    const missing = uncovered(held, stated, names);
    return [...found, ...missing.map((against) => ({ ...pair, against, comparison: 'uncovered' as const }))];
  });
}

/**
 * Of each owner's lists that had to know the entry, one has to be of a range with its chain in it: what an operator
 * withholds may otherwise stand in the page that is never shown. Older lists excuse nothing.
 * @returns the files of those owners whose lists do not
 */
function uncovered(held: Held, stated: readonly Stated[], names: Pick<Policy, 'continued'>): string[] {
  const { entry, index } = held.shown;
  const lists = stated.filter(
    (one) =>
      one.kind === 'chain-list' && one.shown.size > index && entry.log === nameInLog(names, one.shown.origin, index),
  );
  const ownerOf = ({ shown }: Stated): string => ('owner' in shown ? shown.owner : '');
  return [...new Set(lists.map(ownerOf))].flatMap((owner) => {
    const theirs = lists.filter((list) => ownerOf(list) === owner);
    const isCovered = theirs.some(
      (list) => isAside(held, list.shown) || comparedWith(held, list, names) !== 'unrelated',
    );
    return isCovered ? [] : [theirs.map(({ file }) => file).join(', ')];
  });
}

function comparedWith(
  held: Held,
  statement: Stated,
  names: Pick<Policy, 'continued'>,
): ProofComparison['comparison'] | 'unrelated' {
  if (statement.kind === 'chain-head') return compareWithHead(held.shown, statement.shown, names);
  const comparison = compareWithList(held.shown, statement.shown, names);
  return comparison === 'unlisted' && isAside(held, statement.shown) ? 'aside' : comparison;
}

/** Whether what a receipt or a disclosure shows says that its chain need not be on the list. */
function isAside({ kind, shown }: Held, list: Stated['shown']): boolean {
  const members = kind === 'disclosure' ? shown.disclosed : (shown.payload ?? {});
  return 'owner' in list && hasNoPlaceOn(list.owner, shown.entry.chain, members);
}

async function trustOf({
  vkey,
  policy,
  rotations,
  continued,
  chainHeadVkey,
  entry,
  actorKey,
}: ProofVerifyOptions): Promise<Trust> {
  const log = vkey.length === 0 ? null : usable('--vkey', () => logsOnly(vkey.map(parseVerifierKey)));
  const file = policy === undefined ? null : await contentOf(policy);
  const read = file && usable('--policy', () => parsePolicy(file));
  const moved = rotations === undefined ? [] : rotationsIn(await contentOf(rotations));
  const before = continued === undefined ? [] : continuationsIn(await contentOf(continued));
  const trusted = read ? narrowed(read, log) : log;
  return {
    policy: trusted && { ...trusted, continued: vouchedFor(trusted, moved, before) },
    rotations: moved,
    chainHeadKey:
      chainHeadVkey === undefined ? null : usable('--chain-head-vkey', () => parseChainHeadKey(chainHeadVkey)),
    entry: entry === undefined ? null : await contentOf(entry),
    actorKeys: actorKey === undefined ? null : keysIn(Buffer.from(await contentOf(actorKey)).toString()),
  };
}

function keysIn(text: string): PublicJwk[] {
  const keys = publicKeysIn(text);
  if (keys.length === 0) throw new UsageError('--actor-key: no public key (JWK) of Ed25519 or P-256');
  return keys;
}

/** A policy may leave the log to the caller; one that names logs is not widened. */
function narrowed(policy: Policy, log: Policy | null): Policy {
  if (policy.logs.length === 0) {
    if (!log) throw new UsageError('--policy names no log: say which with --vkey <vkey>');
    return { ...policy, logs: log.logs };
  }
  if (!log) return policy;
  const same = policy.logs.filter(({ key }) =>
    log.logs.some((only) => key.name === only.key.name && toBase64(key.publicKey) === toBase64(only.key.publicKey)),
  );
  if (same.length < log.logs.length) throw new UsageError('--vkey: not a log of the policy');
  return { ...policy, logs: same };
}

/** Each is checked for itself; whether it begins at a trusted key is seen where it is used. */
function rotationsIn(file: Uint8Array): Rotation[] {
  const receipts = documentsIn(file).documents.map((document) =>
    document.kind === 'receipt' ? document.receipt : null,
  );
  return usable('--rotations', () => {
    const moves = receipts.map((receipt) => ({ rotation: openRotationReceipt(receipt) }));
    const twice = replacedTwice(moves)?.map(({ rotation }) => `behind ${rotation.size} entries`);
    if (twice) throw new RotationError(`one key was replaced twice, ${twice.join(' and ')}: trust in it leads nowhere`);
    return moves.map(({ rotation }) => rotation).toSorted((a, b) => a.size - b.size);
  });
}

/** Oldest first. */
function continuationsIn(file: Uint8Array): Continuation[] {
  const receipts = documentsIn(file).documents.map((document) =>
    document.kind === 'receipt' ? document.receipt : null,
  );
  return usable('--continued', () =>
    receipts.map((receipt) => openContinuationReceipt(receipt)).toSorted((a, b) => a.size - b.size),
  );
}

function usable<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (
      [NoteError, CheckpointError, ChainHeadError, PolicyError, RotationError, ContinuationError].some(
        (kind) => error instanceof kind,
      )
    ) {
      throw new UsageError(`${option}: ${(error as Error).message}`);
    }
    throw error;
  }
}

async function contentOf(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new EnvironmentError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`);
  }
}
