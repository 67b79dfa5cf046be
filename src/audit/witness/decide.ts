import { equal } from '../../ledger/core/bytes.js';
import type { Checkpoint } from '../../ledger/core/tlog/checkpoint.js';
import { nobleHasher } from '../../ledger/core/hasher.js';
import { emptyRoot } from '../../ledger/core/tlog/merkle.js';
import { verifyConsistency } from '../../ledger/core/tlog/proof.js';
import type { Refusal, Submission } from './submission.js';

/**
 * Seconds that the clock may be behind the last cosignature's time. Beyond that the clock is wrong, and nothing is
 * signed.
 */
export const CLOCK_SLACK_SECONDS = 300;

/**
 * Decides whether a checkpoint continues the one cosigned last (C2SP tlog-witness, add-checkpoint).
 * @param latest the checkpoint of that log that was cosigned last; null: none
 * @returns null when it may be cosigned; 409 when the client starts from another size; 422 when the proof does not show
 * consistency
 */
export function decide(
  latest: Pick<Checkpoint, 'size' | 'root'> | null,
  { oldSize, proof, checkpoint: { size, root } }: Pick<Submission, 'oldSize' | 'proof' | 'checkpoint'>,
): Refusal | null {
  const { size: size1, root: root1 } = latest ?? { size: 0, root: emptyRoot };
  if (oldSize !== size1) return { status: 409, size: size1 };
  if (size === size1 && !equal(root, root1)) {
    return { status: 422, reason: size === 0 ? 'root is not that of the empty tree' : 'same size with another root' };
  }
  // Every tree is consistent with the empty one: there is nothing to prove, and the proof must be empty.
  const consistent =
    size1 === 0
      ? proof.length === 0
      : verifyConsistency(nobleHasher, { size1, size2: size, root1, root2: root, proof }).ok;
  return consistent ? null : { status: 422, reason: 'consistency proof does not verify' };
}

/** Whether this submission, signed by the log, and the checkpoint cosigned last prove that the log has forked. */
export function provesFork(
  latest: Pick<Checkpoint, 'size' | 'root'> | null,
  { checkpoint }: Pick<Submission, 'checkpoint'>,
): boolean {
  return latest !== null && checkpoint.size === latest.size && !equal(checkpoint.root, latest.root);
}

/**
 * The time of a cosignature. It never goes back, since a cosignature names the largest tree seen at its time.
 * @param now POSIX seconds by the clock
 * @param last POSIX seconds of the last cosignature for that log
 * @returns null when the clock is too far behind to sign
 */
export function cosignatureTime(now: number, last: number): number | null {
  return now < last - CLOCK_SLACK_SECONDS ? null : Math.max(now, last);
}
