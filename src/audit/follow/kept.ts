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

/** File of the folder that holds the newest checkpoint that was found consistent, as it was served. */
const KEPT = 'checkpoint';

/** A signed checkpoint under the policy. */
export interface Signed {
  readonly note: string;
  readonly checkpoint: Checkpoint;
  readonly quorum: Quorum;
}

/** What a folder remembers: nothing of it may be taken back by the log. */
export interface Remembered {
  readonly kept: Signed | null;
  /** What its replica shows, where that is another one. */
  readonly shown: Signed | null;
}

/**
 * Reads it. A folder that has lost its own checkpoint has that of its replica, which is as good: it was checked before
 * it was shown.
 * @throws {FollowFolderError} when one of them is not one of this policy's log
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

/** @throws NoteError, CheckpointError when no key to which the policy's pass trust has signed it */
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
