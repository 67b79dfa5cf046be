/** A receipt against what the operator signed about its chain: so withheld entries show. */
import { equal } from '../bytes.js';
import type { SignedChainHead } from './chain-head-note.js';
import type { SignedChainList } from './chain-list-note.js';
import { encodeEntry } from '../record/entry.js';
import { type Hasher, nobleHasher } from '../hasher.js';
import { nameInLog, type Policy } from '../tlog/policy.js';
import type { VerifiedReceipt } from '../record/receipt.js';

/** How logs went on under other names, as far as that is known and trusted. */
type Names = Pick<Policy, 'continued'>;

export type Comparison =
  /** The head is this entry or a later one of its chain. */
  | 'agrees'
  /** Another log, another chain, or a list of another range: nothing follows. */
  | 'unrelated'
  /** The head was signed before the entry was recorded: nothing follows, ask for a newer one. */
  | 'older'
  /** The entry stood in the log when the head was signed, and the head leaves it out. */
  | 'withheld'
  /** The chain stood in the log when the list was signed, and the list leaves it out. */
  | 'unlisted'
  /** The head and the entry cannot both be of one chain: it was given another past. */
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

/**
 * Compares a receipt that holds with a list that holds. `unlisted` accuses only where the chain belongs on the list:
 * one that was erased, or that its writer never had a part in, does not.
 */
export function compareWithList(
  receipt: Pick<VerifiedReceipt, 'entry' | 'index'>,
  { origin, after, through, size, chains }: SignedChainList,
  names: Names = {},
  hasher: Hasher = nobleHasher,
): Comparison {
  const { log, chain } = receipt.entry;
  if (log !== nameInLog(names, origin, receipt.index) || chain <= after || chain > through) return 'unrelated';
  const position = chains.find((one) => one.chain === chain);
  if (position) return compareWithHead(receipt, { ...position, origin, size }, names, hasher);
  return receipt.index < size ? 'unlisted' : 'older';
}
