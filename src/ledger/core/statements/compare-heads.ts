/** Compares a receipt with the operator's signed chain head, to detect withheld entries. */
import { equal } from '../bytes.js';
import type { SignedChainHead } from './chain-head-note.js';
import { encodeEntry } from '../record/entry.js';
import { type Hasher, nobleHasher } from '../hasher.js';
import { nameInLog, type Policy } from '../tlog/policy.js';
import type { VerifiedReceipt } from '../record/receipt.js';

/** The known and trusted earlier names of logs. */
type Names = Pick<Policy, 'continued'>;

export type Comparison =
  /** The head is this entry or a later one of its chain. */
  | 'agrees'
  /** Another log or another chain: no conclusion. */
  | 'unrelated'
  /** The head was signed before the entry was recorded: no conclusion, ask for a newer head. */
  | 'older'
  /** The log had the entry when the head was signed, and the head leaves it out. */
  | 'withheld'
  /** The head and the entry cannot belong to one chain: its past was rewritten. */
  | 'differs';

/**
 * Compares a verified receipt with a verified chain head. The head must include the entry if the entry's index is below
 * the head's log size.
 */
export function compareWithHead(
  { entry, index }: Pick<VerifiedReceipt, 'entry' | 'index'>,
  head: SignedChainHead,
  names: Names = {},
  hasher: Hasher = nobleHasher,
): Comparison {
  if (entry.log !== nameInLog(names, head.origin, index) || entry.chain !== head.chain) return 'unrelated';
  // If the head reaches this seq, another entry already had its place.
  if (index >= head.size) return entry.seq <= head.seq ? 'differs' : 'older';
  if (entry.seq > head.seq) return 'withheld';
  if (entry.seq < head.seq) return 'agrees';
  return equal(hasher.leaf(encodeEntry(entry)), head.leaf) ? 'agrees' : 'differs';
}
