/** Compares a receipt with what the operator signed about its chain, so that withheld entries show. */
import { equal } from '../bytes.js';
import type { SignedChainHead } from './chain-head-note.js';
import { encodeEntry } from '../record/entry.js';
import { type Hasher, nobleHasher } from '../hasher.js';
import { nameInLog, type Policy } from '../tlog/policy.js';
import type { VerifiedReceipt } from '../record/receipt.js';

/** The earlier names of logs, as far as they are known and trusted. */
type Names = Pick<Policy, 'continued'>;

export type Comparison =
  /** The head is this entry or a later one of its chain. */
  | 'agrees'
  /** Another log or another chain: nothing follows. */
  | 'unrelated'
  /** The head was signed before the entry was recorded: nothing follows, ask for a newer one. */
  | 'older'
  /** The entry stood in the log when the head was signed, and the head leaves it out. */
  | 'withheld'
  /** The head and the entry cannot both belong to one chain: its past was rewritten. */
  | 'differs';

/**
 * Compares a receipt that holds with a chain head that holds. The entry's index decides whether the head had to know
 * it: the log of the head's size holds every entry of a smaller index.
 */
export function compareWithHead(
  { entry, index }: Pick<VerifiedReceipt, 'entry' | 'index'>,
  head: SignedChainHead,
  names: Names = {},
  hasher: Hasher = nobleHasher,
): Comparison {
  if (entry.log !== nameInLog(names, head.origin, index) || entry.chain !== head.chain) return 'unrelated';
  // Another entry than this one had its place already.
  if (index >= head.size) return entry.seq <= head.seq ? 'differs' : 'older';
  if (entry.seq > head.seq) return 'withheld';
  if (entry.seq < head.seq) return 'agrees';
  return equal(hasher.leaf(encodeEntry(entry)), head.leaf) ? 'agrees' : 'differs';
}
