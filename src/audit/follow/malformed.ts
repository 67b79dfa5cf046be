import { CheckpointError, parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { passedOn, type Rotation } from '../../ledger/core/statements/key-rotation.js';
import { formatVerifierKey, isNoteText, parseVerifierKey, signedText } from '../../ledger/core/tlog/note.js';
import type { Policy } from '../../ledger/core/tlog/policy.js';

export interface Malformed {
  /** What is wrong with it. */
  readonly why: string;
  /**
   * Whether it begins with the log's name, as only a checkpoint does: a log's key signs other statements, too, and
   * whoever passes files on can serve one of these in the place of a checkpoint.
   */
  readonly meant: boolean;
}

/**
 * Whether a log of the policy has signed a text that is no checkpoint. What others add to a note is not the log's.
 * @param rotations of its key; one that was replaced says nothing any more
 * @returns null when its keys have not
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
