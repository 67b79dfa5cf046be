import { EncodingError, fromBase64, toBase64 } from '../bytes.js';
import { HASH_BYTES } from '../hasher.js';
import { KEY_TYPE, openNote, parseVerifierKey, type VerifierKey, isKeyName } from './note.js';

/** A log's signed statement of its size and root (C2SP tlog-checkpoint). */
export interface Checkpoint {
  /** The log's origin. */
  readonly origin: string;
  /** Number of entries; a safe integer. */
  readonly size: number;
  /** Root of the tree of that size, 32 bytes. */
  readonly root: Uint8Array;
}

/** The text is not a checkpoint, or is one of another log. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** `origin\n<size>\n<base64 root>\n`, the text that is signed. @throws CheckpointError when a part breaks its form. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  if (!isKeyName(origin)) throw new CheckpointError('origin');
  if (!Number.isSafeInteger(size) || size < 0) throw new CheckpointError('size');
  if (root.length !== HASH_BYTES) throw new CheckpointError('root is not 32 bytes');
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/**
 * Reads a checkpoint text, strictly: no leading zeros, a size within safe integers, a root of 32 bytes. Extension lines
 * are returned, and the caller decides whether to accept them. An origin may be any non-empty line, since other logs
 * have spaces in theirs.
 * @throws CheckpointError
 */
export function parseCheckpoint(text: string): Checkpoint & { readonly extensions: readonly string[] } {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new CheckpointError('text does not end in a newline');
  const [origin, size, root, ...extensions] = lines;
  if (origin === undefined || size === undefined || root === undefined) throw new CheckpointError('too few lines');
  if (origin === '') throw new CheckpointError('origin');
  if (!SIZE.test(size) || !Number.isSafeInteger(Number(size))) throw new CheckpointError('size');
  if (extensions.includes('')) throw new CheckpointError('empty extension line');
  return { origin, size: Number(size), root: decodeRoot(root), extensions };
}

/**
 * Opens a signed checkpoint of the log whose key this is. Checks its signature and its origin (the key's name), and
 * refuses extension lines, which RxLedger never writes.
 * @param note the signed note
 * @param vkey the log's verifier key, pinned by the caller and never taken from the note's source
 * @throws NoteError, CheckpointError
 */
export function openCheckpoint(note: string, vkey: string | VerifierKey): Checkpoint {
  const key = typeof vkey === 'string' ? parseVerifierKey(vkey) : vkey;
  if (key.type !== KEY_TYPE.ed25519) throw new CheckpointError('not a log key');
  const { origin, size, root, extensions } = parseCheckpoint(openNote(note, [key]).text);
  if (origin !== key.name) throw new CheckpointError('origin is not the name of the key');
  if (extensions.length > 0) throw new CheckpointError('extension lines');
  return { origin, size, root };
}

function decodeRoot(base64: string): Uint8Array {
  try {
    const root = fromBase64(base64);
    if (root.length === HASH_BYTES) return root;
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
  }
  throw new CheckpointError('root is not 32 bytes in base64');
}
