import { EncodingError, fromBase64, toBase64 } from '../bytes.js';
import { HASH_BYTES } from '../hasher.js';

/** Proves offline that a log contains an entry (C2SP tlog-proof). */
export interface TlogProof {
  /** Index of the entry in the log; a safe integer. */
  readonly index: number;
  /** Inclusion proof in the tree of the checkpoint, from the leaf's sibling upwards, 32 bytes each. */
  readonly proof: readonly Uint8Array[];
  /** The signed note, verbatim. Nothing about it is checked here. */
  readonly checkpoint: string;
  /** Opaque bytes that nothing authenticates; never empty. */
  readonly extra?: Uint8Array;
}

/** The text is not a tlog-proof. The message names the part, never its value. */
export class TlogProofError extends Error {
  override readonly name = 'TlogProofError';
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const EXTRA = 'extra ';
const INDEX = /^index (0|[1-9][0-9]{0,15})$/;
/** Sizes are safe integers: an inclusion proof has at most 53 hashes, a consistency proof one more. */
const MOST_HASHES = 54;

/** Writes a proof, text that ends with the checkpoint. @throws TlogProofError when a part breaks its form. */
export function encodeTlogProof({ index, proof, checkpoint, extra }: TlogProof): string {
  if (!Number.isSafeInteger(index) || index < 0) throw new TlogProofError('index');
  if (proof.length > MOST_HASHES) throw new TlogProofError('too many hashes');
  if (proof.some((hash) => hash.length !== HASH_BYTES)) throw new TlogProofError('a hash is not 32 bytes');
  if (checkpoint === '') throw new TlogProofError('no checkpoint');
  if (extra?.length === 0) throw new TlogProofError('extra data that is empty is left out');
  const extraLine = extra ? `${EXTRA}${toBase64(extra)}\n` : '';
  return `${HEADER}\n${extraLine}index ${index}\n${encodeHashes(proof)}\n${checkpoint}`;
}

/**
 * Reads a proof strictly: no leading zeros, no other lines, canonical base64. Verify it with `openCheckpoint` and
 * `verifyInclusion`.
 * @throws TlogProofError
 */
export function parseTlogProof(text: string): TlogProof {
  const end = text.indexOf('\n\n');
  if (end < 0) throw new TlogProofError('no empty line');
  const checkpoint = text.slice(end + 2);
  if (checkpoint === '') throw new TlogProofError('no checkpoint');
  const [header, ...lines] = text.slice(0, end).split('\n');
  if (header !== HEADER) throw new TlogProofError('first line');
  const extra = lines[0]?.startsWith(EXTRA) ? decode(lines.shift()!.slice(EXTRA.length), 'extra data') : undefined;
  if (extra?.length === 0) throw new TlogProofError('extra data');
  const [, digits] = INDEX.exec(lines.shift() ?? '') ?? [];
  if (digits === undefined || !Number.isSafeInteger(Number(digits))) throw new TlogProofError('index');
  return { index: Number(digits), proof: hashesOf(lines), checkpoint, ...(extra && { extra }) };
}

/** Hashes of a proof in base64, one per line, each with a newline. */
export function encodeHashes(hashes: readonly Uint8Array[]): string {
  return hashes.map((hash) => `${toBase64(hash)}\n`).join('');
}

/** Reads the output of {@link encodeHashes} strictly; the empty text gives no hashes. @throws TlogProofError */
export function parseHashes(text: string): Uint8Array[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new TlogProofError('no last newline');
  return hashesOf(lines);
}

function hashesOf(lines: readonly string[]): Uint8Array[] {
  if (lines.length > MOST_HASHES) throw new TlogProofError('too many hashes');
  return lines.map(hashOf);
}

function hashOf(line: string): Uint8Array {
  const bytes = decode(line, 'a hash');
  if (bytes.length !== HASH_BYTES) throw new TlogProofError('a hash is not 32 bytes');
  return bytes;
}

function decode(base64: string, what: string): Uint8Array {
  try {
    return fromBase64(base64);
  } catch (error) {
    if (error instanceof EncodingError) throw new TlogProofError(`${what} is not strict base64`);
    throw error;
  }
}
