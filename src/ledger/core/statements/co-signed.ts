/** What the signed events of the log's own chain have in common. */
import { EncodingError } from '../bytes.js';
import { CheckpointError } from '../tlog/checkpoint.js';
import { PayloadError } from '../record/commitment.js';
import type { Hasher } from '../hasher.js';
import { GrowingTree } from '../tlog/merkle.js';
import { KEY_TYPE, NoteError, parseVerifierKey, type VerifierKey } from '../tlog/note.js';

/**
 * The root of the tree to which a leaf was appended.
 * @param proof inclusion proof of the last leaf: the roots of the complete trees before it, the smallest first
 */
export function rootBefore(hasher: Hasher, index: number, proof: readonly Uint8Array[]): Uint8Array {
  return new GrowingTree(hasher, index, proof.toReversed()).root();
}

/** A log's verifier key. @throws NoteError for one of a witness, or none */
export function logKey(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey);
  if (key.type !== KEY_TYPE.ed25519) throw new NoteError('not a log key');
  return key;
}

/** Reads what anybody may have written. @throws what `refuse` makes of the message, where that is wrong */
export function refusing<T>(read: () => T, refuse: (message: string) => Error): T {
  try {
    return read();
  } catch (error) {
    const known = [EncodingError, NoteError, CheckpointError, PayloadError];
    if (known.some((kind) => error instanceof kind)) throw refuse((error as Error).message);
    throw error;
  }
}
