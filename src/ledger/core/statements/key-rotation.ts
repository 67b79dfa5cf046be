/** The replacement of a log's key: a statement signed by the old and the new key, and how trust passes between them. */
import { EncodingError, equal, fromBase64, fromUtf8, toBase64 } from '../bytes.js';
import { type Checkpoint, CheckpointError, parseCheckpoint } from '../tlog/checkpoint.js';
import { parsePayload, PayloadError } from '../record/commitment.js';
import { LOG_CHAIN } from '../record/entry.js';
import { HASH_BYTES, type Hasher, nobleHasher } from '../hasher.js';
import { isObject } from '../jcs.js';
import { KEY_TYPE, NoteError, openNote, parseVerifierKey, splitNote, type VerifierKey } from '../tlog/note.js';
import type { Policy } from '../tlog/policy.js';
import { verifyReceipt, type Receipt } from '../record/receipt.js';
import { GrowingTree } from '../tlog/merkle.js';

/** Type of the log chain's event: data `{from, to, statement}`, the statement as {@link formatRotation} gives it, signed by both. */
export const LOG_KEY_ROTATED = 'log-key.rotated/1';
const HEADER = 'rxledger/log-key/v1';
const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** The statement of both keys: `to` signs in place of `from` after this tree, to which the event itself is appended. */
export interface Rotation {
  readonly origin: string;
  /** C2SP verifier keys, both with the origin as their name. */
  readonly from: string;
  readonly to: string;
  /** Number of entries before the event: its log index. */
  readonly size: number;
  /** 32 bytes; of the tree of that size. */
  readonly root: Uint8Array;
}

/** The data is not a rotation, or is not signed by both keys. */
export class RotationError extends Error {
  override readonly name = 'RotationError';
}

/** `rxledger/log-key/v1\n<origin>\n<old vkey>\n<new vkey>\n<size>\n<base64 root>\n`, the text of a signed note by both keys. */
export function formatRotation({ origin, from, to, size, root }: Rotation): string {
  return `${HEADER}\n${origin}\n${from}\n${to}\n${size}\n${toBase64(root)}\n`;
}

/**
 * Reads the event's data. Its members must agree, and both keys must have signed the statement.
 * @throws {RotationError}
 */
export function openRotation(data: unknown): Rotation {
  const { from, to, statement } = isObject(data) ? data : {};
  if (typeof from !== 'string' || typeof to !== 'string' || typeof statement !== 'string')
    throw new RotationError('from, to or statement is not there');
  return opened(() => {
    const keys = [logKey(from), logKey(to)] as const;
    const [header, origin = '', old, next, size = '', root = '', ...more] = bothSigned(statement, keys).split('\n');
    const tree = { size: Number(size), root: fromBase64(root) };
    if (header !== HEADER || more.length !== 1 || more[0] !== '')
      throw new RotationError('not a statement of a new key');
    if (old !== from || next !== to) throw new RotationError('it states other keys');
    if (keys.some(({ name }) => name !== origin)) throw new RotationError('a key is that of another log');
    if (equal(keys[0].publicKey, keys[1].publicKey)) throw new RotationError('both keys are the same');
    if (!SIZE.test(size) || !Number.isSafeInteger(tree.size) || tree.root.length !== HASH_BYTES)
      throw new RotationError('it states no tree');
    return { origin, from, to, ...tree };
  });
}

/**
 * Checks a receipt of the event. Its checkpoint must be the first one with the event, signed by both keys. So the old
 * key vouches for the tree with which the new one begins. The caller decides whether to trust the old key.
 * @throws {RotationError}
 */
export function openRotationReceipt(receipt: unknown, hasher: Hasher = nobleHasher): Rotation {
  const { payload, checkpoint, index } = (isObject(receipt) ? receipt : {}) as Partial<Receipt>;
  if (typeof payload !== 'string' || typeof checkpoint !== 'string')
    throw new RotationError('not a receipt with payload');
  const rotation = opened(() => openRotation(parsePayload(fromUtf8(fromBase64(payload)))['data']));
  const keys = [logKey(rotation.from), logKey(rotation.to)] as const;
  const policy = { logs: keys.map((key) => ({ key, url: null })), witnesses: [], groups: [], quorum: null };
  const shown = verifyReceipt(receipt as Receipt, policy, hasher);
  if (!shown.ok) throw new RotationError(`its receipt does not hold (${shown.reason})`);
  const { entry, payload: said, size } = shown;
  if (entry.chain !== LOG_CHAIN || said?.['kind'] !== 'log' || said['type'] !== LOG_KEY_ROTATED)
    throw new RotationError('not an event of a new key');
  opened(() => bothSigned(checkpoint, keys));
  if (rotation.size !== index || size !== index + 1) throw new RotationError('its checkpoint is not the one behind it');
  const proof = (receipt as Receipt).proof.map(fromBase64);
  if (!equal(rootBefore(hasher, index, proof), rotation.root)) throw new RotationError('it was stated of another tree');
  return rotation;
}

/** The checkpoint that both keys have signed. @param receipt accepted by {@link openRotationReceipt} */
export function handOver({ checkpoint }: Receipt): Checkpoint {
  return parseCheckpoint(splitNote(checkpoint).text);
}

/**
 * Two different replacements of the same key. The key was stolen or the log was forked, and nobody can tell which
 * successor to trust.
 * @returns null when each key was replaced at most once
 */
export function replacedTwice<T extends { readonly rotation: Rotation }>(moves: readonly T[]): readonly [T, T] | null {
  const first = new Map<string, T>();
  for (const move of moves) {
    const other = first.get(move.rotation.from);
    if (!other) first.set(move.rotation.from, move);
    else if (formatRotation(other.rotation) !== formatRotation(move.rotation)) return [other, move];
  }
  return null;
}

/** The rotations that pass trust on from pinned keys. @param rotations in log order */
export function passedOn(pinned: readonly string[], rotations: readonly Rotation[]): Rotation[] {
  const trusted = new Set(pinned);
  return rotations.filter(({ from, to }) => trusted.has(from) && !trusted.has(to) && trusted.add(to));
}

/**
 * The policy for one checkpoint of a log whose keys were replaced. It includes the successors of its own keys, and
 * excludes keys that had been replaced before a tree of that size.
 * @param rotations in log order
 * @param note signed checkpoint; a malformed one is reported when it is opened
 */
export function policyFor(policy: Policy, rotations: readonly Rotation[], note: string): Policy {
  if (rotations.length === 0) return policy;
  const known = new Map(rotations.flatMap(({ from, to }) => [from, to]).map((vkey) => [vkey, logKey(vkey)]));
  const pinned = [...known].filter(([, key]) => policy.logs.some((log) => sameKey(log.key, key))).map(([vkey]) => vkey);
  const passed = passedOn(pinned, rotations);
  const size = sizeIn(note);
  const replaced = rotations
    .filter(
      ({ from, size: before }) => (pinned.includes(from) || passed.some(({ to }) => to === from)) && size > before + 1,
    )
    .map(({ from }) => known.get(from) as VerifierKey);
  const logs = [...policy.logs, ...passed.map(({ to }) => ({ key: known.get(to) as VerifierKey, url: null }))];
  return { ...policy, logs: logs.filter(({ key }) => !replaced.some((other) => sameKey(other, key))) };
}

function sizeIn(note: string): number {
  try {
    return parseCheckpoint(splitNote(note).text).size;
  } catch (error) {
    if (error instanceof NoteError || error instanceof CheckpointError) return 0;
    throw error;
  }
}

function sameKey(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && equal(a.publicKey, b.publicKey);
}

/** @returns the note's text. @throws NoteError, RotationError */
function bothSigned(note: string, keys: readonly VerifierKey[]): string {
  const { text, verified } = openNote(note, keys);
  if (verified.length < keys.length) throw new RotationError('one of the two keys has not signed');
  return text;
}

/** Turns faults of untrusted text into a {@link RotationError}. */
function opened<T>(read: () => T): T {
  return refusing(read, (message) => new RotationError(message));
}

/**
 * The root of the tree to which a leaf was appended.
 * @param proof inclusion proof of the last leaf: the roots of the complete subtrees before it, the smallest first
 */
export function rootBefore(hasher: Hasher, index: number, proof: readonly Uint8Array[]): Uint8Array {
  return new GrowingTree(hasher, index, proof.toReversed()).root();
}

/** A log's verifier key. @throws NoteError for a witness's key or a malformed one */
export function logKey(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey);
  if (key.type !== KEY_TYPE.ed25519) throw new NoteError('not a log key');
  return key;
}

/** Reads untrusted text. @throws the error that `refuse` makes of the message of a fault */
export function refusing<T>(read: () => T, refuse: (message: string) => Error): T {
  try {
    return read();
  } catch (error) {
    const known = [EncodingError, NoteError, CheckpointError, PayloadError];
    if (known.some((kind) => error instanceof kind)) throw refuse((error as Error).message);
    throw error;
  }
}
