import { z } from 'zod';
import { EncodingError, equal, fromBase64 } from '../../ledger/core/bytes.js';
import { type Checkpoint, CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { decodeEntry, type Entry, EntryError } from '../../ledger/core/record/entry.js';
import type { Hasher } from '../../ledger/core/hasher.js';
import {
  ContinuationError,
  lossInWords,
  openContinuationReceipt,
  vouchedFor,
} from '../../ledger/core/statements/continuation.js';
import {
  formatRotation,
  openRotationReceipt,
  passedOn,
  policyFor,
  RotationError,
} from '../../ledger/core/statements/key-rotation.js';
import { formatVerifierKey, NoteError } from '../../ledger/core/tlog/note.js';
import { nameInLog, openWitnessed, type Policy, type Quorum } from '../../ledger/core/tlog/policy.js';
import { verifyConsistency, verifyInclusion } from '../../ledger/core/tlog/proof.js';
import { malformedIn } from './malformed.js';
import { type Rule, violationOf } from './entry-rules.js';

const hash = z.string().describe('32 bytes, base64');

/** One alarm's file of evidence. Signed notes are kept verbatim. */
export const evidenceSchema = z.object({
  format: z.literal('rxledger-evidence/1'),
  alarm: z.enum(['signature', 'log', 'rollback', 'fork', 'quorum', 'files', 'entry']),
  what: z.string(),
  /** By the follower's clock; nothing proves it. */
  at: z.iso.datetime(),
  url: z.string(),
  /** The signed checkpoint that was served. */
  found: z.string(),
  /** The signed checkpoint that the follower had kept. */
  kept: z.string().nullable(),
  /**
   * For a fork: the root of the larger checkpoint's tree at the smaller one's size, with the consistency proof (RFC
   * 9162 section 2.1.4).
   */
  prefix: z.object({ root: hash, proof: z.array(hash) }).optional(),
  /** The entry that breaks a rule, then the one that it contradicts, with inclusion proofs against `found`. */
  entries: z.array(z.object({ index: z.number().int().min(0), entry: z.string(), proof: z.array(hash) })).optional(),
  /**
   * For a log whose key was replaced: the receipts that pass trust on, so that the evidence also holds under an old
   * pinned key.
   */
  rotations: z.array(z.unknown()).optional(),
  /** For a fork: the receipts of two events that replaced the same key. */
  successors: z.array(z.unknown()).optional(),
  /** For a log that goes on under another name: the receipts of the events that say so. */
  continued: z.array(z.unknown()).optional(),
  /**
   * The file that does not match the tree that `found` signs, or several of which at least one does not. base64; null:
   * not there.
   */
  files: z.array(z.object({ path: z.string(), bytes: z.string().nullable() })).optional(),
});
export type Evidence = z.output<typeof evidenceSchema>;
export type AlarmKind = Evidence['alarm'];

/** What a file of evidence shows to somebody who trusts only the policy. */
export interface Verdict {
  /** Whether the log's own signatures prove the fault. Otherwise the evidence is only the follower's word. */
  readonly proved: boolean;
  readonly says: string;
}

const ITS_WORD: Verdict = {
  proved: false,
  says: "nobody signs what was served at which time: this is only the follower's word",
};

/** Checks evidence against a policy, with no other input. Never throws because of its content. */
export function checkEvidence(hasher: Hasher, policy: Policy, evidence: Evidence): Verdict {
  try {
    if (evidence.alarm === 'fork') return forkVerdict(hasher, policy, evidence);
    if (evidence.alarm === 'entry') return entryVerdict(hasher, policy, evidence);
    if (evidence.alarm === 'quorum') return quorumVerdict(hasher, policy, evidence);
    if (evidence.alarm === 'signature') return signatureVerdict(hasher, policy, evidence);
    if (evidence.alarm === 'log' && evidence.continued)
      return continuedVerdict(hasher, policy, evidence, evidence.continued);
    return ITS_WORD;
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError)
      return { proved: false, says: `a checkpoint is not one of the policy's: ${error.message}` };
    if (error instanceof ContinuationError)
      return { proved: false, says: `a continuation is not valid: ${error.message}` };
    if (error instanceof RotationError)
      return { proved: false, says: `a replacement of the key is not valid: ${error.message}` };
    if (error instanceof EncodingError) return { proved: false, says: 'a hash or an entry is not base64' };
    throw error;
  }
}

/** @throws NoteError, CheckpointError, RotationError */
function openFor(hasher: Hasher, policy: Policy, { rotations = [] }: Evidence, note: string) {
  const passed = rotations.map((receipt) => openRotationReceipt(receipt, hasher));
  return openWitnessed(policyFor(policy, passed, note), note);
}

/** A malformed checkpoint that the log itself has signed. One signed by somebody else proves nothing. */
function signatureVerdict(hasher: Hasher, policy: Policy, { found, rotations = [] }: Evidence): Verdict {
  const passed = rotations.map((receipt) => openRotationReceipt(receipt, hasher));
  const malformed = malformedIn(found, policy, passed);
  if (!malformed) return ITS_WORD;
  return malformed.meant
    ? { proved: true, says: `the log has signed a malformed checkpoint: ${malformed.why}` }
    : { proved: false, says: 'the log has signed this, but it does not say that it is a checkpoint' };
}

/** The same key replaced twice, in different trees or by different keys. The key signed both replacements. */
function successorsVerdict(
  hasher: Hasher,
  policy: Policy,
  evidence: Evidence,
  successors: readonly unknown[],
): Verdict {
  const [one, other] = successors.map((receipt) => openRotationReceipt(receipt, hasher));
  const earlier = (evidence.rotations ?? []).map((receipt) => openRotationReceipt(receipt, hasher));
  const pinned = policy.logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  const trusted = [...pinned, ...passedOn(pinned, earlier).map(({ to }) => to)];
  if (!one || !other || one.from !== other.from || !trusted.includes(one.from))
    return { proved: false, says: "the key that was replaced is not one of the policy's log" };
  return formatRotation(one) === formatRotation(other)
    ? { proved: false, says: 'the key was replaced once' }
    : { proved: true, says: `the log has replaced one key twice, behind ${one.size} and behind ${other.size} entries` };
}

function forkVerdict(hasher: Hasher, policy: Policy, evidence: Evidence): Verdict {
  const { found, kept, prefix, successors } = evidence;
  if (successors) return successorsVerdict(hasher, policy, evidence, successors);
  const opened = [found, ...(kept === null ? [] : [kept])].map(
    (note) => openFor(hasher, policy, evidence, note).checkpoint,
  );
  const [small, large] = opened.toSorted((a, b) => a.size - b.size);
  if (!small || !large || small.origin !== large.origin)
    return { proved: false, says: 'there are no two checkpoints of one log' };
  if (small.size === large.size) {
    return equal(small.root, large.root)
      ? { proved: false, says: 'both checkpoints sign the same tree' }
      : { proved: true, says: `the log has signed two trees of ${small.size} entries` };
  }
  if (!prefix) return { proved: false, says: 'what the larger tree begins with is not shown' };
  const root1 = fromBase64(prefix.root);
  const proof = prefix.proof.map(fromBase64);
  const { ok } = verifyConsistency(hasher, { size1: small.size, size2: large.size, root1, root2: large.root, proof });
  if (!ok || equal(root1, small.root)) return { proved: false, says: 'the two trees may be consistent' };
  return {
    proved: true,
    says: `the log has signed ${small.size} entries, and ${large.size} entries that do not continue them`,
  };
}

/** The new key's claim proves a continuation only when the old key has signed it too. */
function continuedVerdict(hasher: Hasher, policy: Policy, evidence: Evidence, [receipt]: readonly unknown[]): Verdict {
  const said = openContinuationReceipt(receipt, hasher);
  const earlier = (evidence.rotations ?? []).map((one) => openRotationReceipt(one, hasher));
  const pinned = policy.logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  if (![...pinned, ...passedOn(pinned, earlier).map(({ to }) => to)].includes(said.from))
    return { proved: false, says: "the log that ended is not one of the policy's" };
  const kept = evidence.kept === null ? null : openFor(hasher, policy, evidence, evidence.kept).checkpoint;
  const more = kept && kept.size > said.remembered.size ? `, though the log had signed ${kept.size}` : '';
  return { proved: said.bothSigned, says: `${said.origin} says that ${lossInWords(said)}${more}` };
}

function quorumVerdict(hasher: Hasher, policy: Policy, evidence: Evidence): Verdict {
  const { quorum } = openFor(hasher, policy, evidence, evidence.found);
  return quorum.met
    ? { proved: false, says: 'the quorum of this policy is met' }
    : // The log's signature does not cover cosignatures: a proxy could have removed them.
      {
        proved: false,
        says: `no quorum of this policy (${quorumInWords(policy, quorum)}), if that is how the log served it`,
      };
}

/** The name that the entry must carry, from events signed by a key of the policy or by a key that one has replaced. */
function nameAt(hasher: Hasher, policy: Policy, evidence: Evidence, origin: string, index: number): string {
  const rotations = (evidence.rotations ?? []).map((receipt) => openRotationReceipt(receipt, hasher));
  const all = (evidence.continued ?? []).map((receipt) => openContinuationReceipt(receipt, hasher));
  return nameInLog({ continued: vouchedFor(policy, rotations, all) }, origin, index);
}

/** Conditions that only the whole log can settle. */
const UNLESS: Partial<Record<Rule, string>> = {
  first: ', if the log has no other of its chain',
  gap: ', if the log has no other of its chain',
  log: ', if the log continues no other (/log/continued)',
};

function entryVerdict(hasher: Hasher, policy: Policy, evidence: Evidence): Verdict {
  const { found, entries = [] } = evidence;
  const { checkpoint } = openFor(hasher, policy, evidence, found);
  const shown = entries.map((one) => shownEntry(hasher, checkpoint, one));
  const [culprit, other] = shown;
  if (!culprit || shown.includes(null))
    return { proved: false, says: 'an entry is not shown to be in the signed tree' };
  const { index, entry } = culprit;
  if (other && (other.index >= index || !other.entry))
    return { proved: false, says: 'the other entry is not an earlier one' };
  const chain =
    other?.entry && other.entry.chain === entry?.chain
      ? { seq: other.entry.seq, leaf: other.leaf, index: other.index }
      : undefined;
  const violation = violationOf(
    nameAt(hasher, policy, evidence, checkpoint.origin, index),
    { size: index, time: other?.entry?.time ?? '' },
    chain,
    entry,
  );
  if (!violation) return { proved: false, says: 'these entries break no rule' };
  // A log never takes a name twice. If its first entry carries its current name, it never had another.
  const neverRenamed = other?.index === 0 && other.entry?.log === checkpoint.origin;
  const unless = violation.rule === 'log' && neverRenamed ? undefined : UNLESS[violation.rule];
  return {
    proved: unless === undefined,
    says: `entry ${index} breaks the rule "${violation.rule}"${unless ?? ''}`,
  };
}

/** @returns null when the proof does not show the entry in the tree */
function shownEntry(
  hasher: Hasher,
  { size, root }: Checkpoint,
  { index, entry: base64, proof }: NonNullable<Evidence['entries']>[number],
): { index: number; leaf: Uint8Array; entry: Entry | null } | null {
  const bytes = fromBase64(base64);
  const leaf = hasher.leaf(bytes);
  const { ok } = verifyInclusion(hasher, { index, size, leaf, root, proof: proof.map(fromBase64) });
  return ok ? { index, leaf, entry: entryOf(bytes) } : null;
}

/** @returns null when the bytes are not an entry */
export function entryOf(bytes: Uint8Array): Entry | null {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (error instanceof EntryError || error instanceof EncodingError) return null;
    throw error;
  }
}

/** In words: which witnesses have cosigned and which have not. */
export function quorumInWords(policy: Policy, { witnesses }: Quorum): string {
  const there = new Set(witnesses.map(({ name }) => name));
  const missing = policy.witnesses.filter(({ name }) => !there.has(name)).map(({ name }) => name);
  return `cosigned by ${[...there].join(', ') || 'none'}; not by ${missing.join(', ') || 'none'}`;
}
