/** Whose checkpoints somebody takes: those of a key that they pinned, and of the keys to which it passed their trust. */
import type { Receipt } from '../../src/ledger/core/record/receipt.js';
import type { Checkpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { openRotationReceipt, policyFor, type Rotation } from '../../src/ledger/core/statements/key-rotation.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly, openWitnessed, type Policy, type Quorum } from '../../src/ledger/core/tlog/policy.js';

/** @param trust a verifier key or a policy; @param known events by which the log's key was replaced, oldest first */
export function policyOf(trust: string | Policy, known: readonly Receipt[], note: string): Policy {
  const policy = typeof trust === 'string' ? logOnly(parseVerifierKey(trust)) : trust;
  return policyFor(policy, rotationsIn(known), note);
}

/** Opens a checkpoint; null where nobody has signed it whom the policy trusts. */
export function openedBy(
  trust: string | Policy,
  known: readonly Receipt[],
  note: string,
): { checkpoint: Checkpoint; quorum: Quorum } | null {
  try {
    return openWitnessed(policyOf(trust, known, note), note);
  } catch {
    return null;
  }
}

const rotationOf = new WeakMap<Receipt, Rotation>();

/** What each says by itself; it is opened once. */
export const rotationsIn = (known: readonly Receipt[]): Rotation[] =>
  known.map((receipt) => {
    const rotation = rotationOf.get(receipt) ?? openRotationReceipt(receipt);
    rotationOf.set(receipt, rotation);
    return rotation;
  });
