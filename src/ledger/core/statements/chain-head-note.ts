import { EncodingError, fromBase64, toBase64 } from '../bytes.js';
import { HASH_BYTES } from '../hasher.js';
import { KEY_TYPE, NoteError, openNote, parseVerifierKey, type VerifierKey, isKeyName } from '../tlog/note.js';

/** The last entry of a chain in a log of a certain size, signed by the log's operator on request. */
export interface SignedChainHead extends ChainPosition {
  /** The log's origin. */
  readonly origin: string;
  /** Size of the log at which this was the chain's last entry. */
  readonly size: number;
}

/** The last entry of a chain. */
export interface ChainPosition {
  /** Chain id, a UUID in lower case. */
  readonly chain: string;
  /** Position of its last entry in the chain, from 0. */
  readonly seq: number;
  /** Leaf hash of that entry, 32 bytes. */
  readonly leaf: Uint8Array;
}

export type ChainHeadReason =
  /** The text is not a chain head, or breaks its form. */
  | 'form'
  /** The key has not signed the note. */
  | 'signature'
  /** The text names another log than the key. */
  | 'log';

export type ChainHeadResult =
  | { readonly ok: true; readonly head: SignedChainHead }
  | { readonly ok: false; readonly reason: ChainHeadReason };

/** Values or a text do not have the form of a chain head. The message names the part. */
export class ChainHeadError extends Error {
  override readonly name = 'ChainHeadError';
}

export const CHAIN_HEAD_HEADER = 'rxledger/chain-head/v1';
const KEY_SUFFIX = '/chain-heads';
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * Name of the key that signs chain heads. It is not the log's key: so nothing that it signs can pass for a checkpoint,
 * and the two keys can be stored apart.
 */
export function chainHeadKeyName(origin: string): string {
  return origin + KEY_SUFFIX;
}

/**
 * A verifier key of chain heads.
 * @throws NoteError when it is malformed, ChainHeadError when it is for something else
 */
export function parseChainHeadKey(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey);
  if (key.type !== KEY_TYPE.ed25519 || !key.name.endsWith(KEY_SUFFIX) || !isKeyName(originOf(key))) {
    throw new ChainHeadError('not a key of chain heads');
  }
  return key;
}

/** Origin of the log whose chain heads the key signs. */
export function originOf({ name }: VerifierKey): string {
  return name.slice(0, -KEY_SUFFIX.length);
}

/**
 * The text that is signed: `rxledger/chain-head/v1\n<origin>\n<chain>\n<seq>\n<base64 leaf hash>\n<size>\n`.
 * @throws ChainHeadError when a part breaks its form
 */
export function formatChainHead({ origin, chain, seq, leaf, size }: SignedChainHead): string {
  const text = `${CHAIN_HEAD_HEADER}\n${origin}\n${chain}\n${seq}\n${toBase64(leaf)}\n${size}\n`;
  parseChainHead(text);
  return text;
}

/** Reads a chain head's text, strictly. @throws ChainHeadError */
export function parseChainHead(text: string): SignedChainHead {
  const [header, origin, chain, seq, leaf, size, end, ...more] = text.split('\n');
  if (header !== CHAIN_HEAD_HEADER) throw new ChainHeadError('header');
  if (end !== '' || more.length > 0) throw new ChainHeadError('number of lines');
  const head = {
    origin: readOrigin(origin),
    chain: readUuid(chain),
    seq: readNumber(seq, 'seq'),
    leaf: readLeaf(leaf),
    size: readNumber(size, 'size'),
  };
  // A chain cannot have more entries than the log.
  if (head.seq >= head.size) throw new ChainHeadError('seq');
  return head;
}

/**
 * Checks a signed chain head. It proves only the operator's claim: compare it with receipts.
 * @param key pinned by the caller, see {@link parseChainHeadKey}
 */
export function verifyChainHead(note: string, key: VerifierKey): ChainHeadResult {
  try {
    const head = parseChainHead(openNote(note, [key]).text);
    return head.origin === originOf(key) ? { ok: true, head } : { ok: false, reason: 'log' };
  } catch (error) {
    if (error instanceof NoteError) return { ok: false, reason: 'signature' };
    if (error instanceof ChainHeadError) return { ok: false, reason: 'form' };
    throw error;
  }
}

/** @throws ChainHeadError */
function readOrigin(line: string | undefined): string {
  if (line === undefined || !isKeyName(line)) throw new ChainHeadError('origin');
  return line;
}

/** A UUID in lower case. @throws ChainHeadError */
function readUuid(line: string | undefined): string {
  if (line === undefined || !UUID.test(line)) throw new ChainHeadError('chain');
  return line;
}

/** A decimal number without leading zeros, a safe integer. @throws ChainHeadError */
function readNumber(line: string | undefined, part: string): number {
  if (line === undefined || !NUMBER.test(line) || !Number.isSafeInteger(Number(line))) throw new ChainHeadError(part);
  return Number(line);
}

function readLeaf(base64: string | undefined): Uint8Array {
  try {
    const leaf = fromBase64(base64 ?? '');
    if (leaf.length === HASH_BYTES) return leaf;
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
  }
  throw new ChainHeadError('leaf');
}
