import { join } from 'node:path';
import { EncodingError, fromUtf8 } from '../../ledger/core/bytes.js';
import { type Checkpoint, CheckpointError } from '../../ledger/core/tlog/checkpoint.js';
import { policyFor } from '../../ledger/core/statements/key-rotation.js';
import { NoteError } from '../../ledger/core/tlog/note.js';
import { openWitnessed, type Policy, type Quorum } from '../../ledger/core/tlog/policy.js';
import { readIfThere, writeDurably } from './durable.js';
import type { KeyMove } from './key-moves.js';
import type { Replica } from './replica/replica.js';
import { FollowFolderError } from './chain-ends.js';

/** File of the folder with the newest checkpoint that continues all earlier ones, byte for byte as served. */
const KEPT = 'checkpoint';

/** A checkpoint that a key of the policy, or a successor of one, has signed. */
export interface Signed {
  readonly note: string;
  readonly checkpoint: Checkpoint;
  readonly quorum: Quorum;
}

/** The signed checkpoints that a folder remembers. The log must continue each of them. */
export interface Remembered {
  readonly kept: Signed | null;
  /** The checkpoint of the folder's replica; null when it is the same as `kept`. */
  readonly shown: Signed | null;
}

/**
 * A folder without a checkpoint of its own takes that of its replica, which was checked before it was shown.
 * @throws {FollowFolderError} when one of the two checkpoints is not of this policy's log
 */
export async function readRemembered(
  folder: string,
  policy: Policy,
  moves: readonly KeyMove[],
  replica: Replica | undefined,
): Promise<Remembered> {
  const file = await readIfThere(join(folder, KEPT));
  const own = file && openKept('its checkpoint', policy, moves, () => fromUtf8(file));
  const note = replica?.checkpoint() ?? null;
  if (note === null || note === own?.note) return { kept: own, shown: null };
  const shown = openKept("its replica's checkpoint", policy, moves, () => note);
  if (own) return { kept: own, shown };
  await writeKept(folder, note);
  return { kept: shown, shown: null };
}

export async function writeKept(folder: string, note: string): Promise<void> {
  await writeDurably(join(folder, KEPT), note);
}

/** @throws NoteError, CheckpointError when neither a key of the policy nor a successor of one has signed it */
export function openMoved(policy: Policy, moves: readonly KeyMove[], note: string): Signed {
  const rotations = moves.map(({ rotation }) => rotation);
  return { note, ...openWitnessed(policyFor(policy, rotations, note), note) };
}

export const isNotOurs = (error: unknown): error is Error =>
  error instanceof NoteError || error instanceof CheckpointError;

function openKept(what: string, policy: Policy, moves: readonly KeyMove[], read: () => string): Signed {
  try {
    return openMoved(policy, moves, read());
  } catch (error) {
    if (isNotOurs(error) || error instanceof EncodingError)
      throw new FollowFolderError(`${what} is not one of this policy's log: ${error.message}`);
    throw error;
  }
}
