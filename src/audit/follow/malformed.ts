import { CheckpointError, parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { passedOn, type Rotation } from '../../ledger/core/statements/key-rotation.js';
import { formatVerifierKey, isNoteText, parseVerifierKey, signedText } from '../../ledger/core/tlog/note.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';

export interface Malformed {
  /** What is wrong with it. */
  readonly why: string;
  /**
   * Whether the text begins with the log's name, as only a checkpoint does. A log's key signs other statements too, and
   * a proxy could serve one of those in place of a checkpoint.
   */
  readonly meant: boolean;
}

/**
 * Looks for a text that a log of the policy has signed although it is no checkpoint. Signatures by others do not count.
 * @param rotations of the log's key; signatures by a key that was replaced do not count
 * @returns null when the log's current keys have signed no such text
 */
export function malformedIn(note: string, policy: Policy, rotations: readonly Rotation[]): Malformed | null {
  const pinned = policy.logs.map(({ key }) => formatVerifierKey(key.name, key.type, key.publicKey));
  const trusted = [...pinned, ...passedOn(pinned, rotations).map(({ to }) => to)];
  for (const vkey of trusted.filter((one) => rotations.every(({ from }) => from !== one))) {
    const key = parseVerifierKey(vkey);
    const text = signedText(note, key);
    const why = text === null ? null : faultOf(text);
    if (text !== null && why !== null) return { why, meant: text.startsWith(`${key.name}\n`) };
  }
  return null;
}

/** @returns null when it is a checkpoint */
function faultOf(text: string): string | null {
  if (!isNoteText(text)) return 'text holds what no note may hold';
  try {
    parseCheckpoint(text);
    return null;
  } catch (error) {
    if (error instanceof CheckpointError) return error.message;
    throw error;
  }
}
