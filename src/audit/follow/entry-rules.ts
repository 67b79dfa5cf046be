import { equal } from '../../ledger/core/bytes.js';
import type { Entry } from '../../ledger/core/record/entry.js';

/** The last entry of a chain. */
export interface ChainEnd {
  readonly seq: number;
  /** Its leaf hash, 32 bytes. */
  readonly leaf: Uint8Array;
  /** Its log index. */
  readonly index: number;
}

/** The last entry of the log, as far as the next one must fit it. */
export interface LogEnd {
  /** Number of entries: the next one's index. */
  readonly size: number;
  /** Time of the last entry, as entries write it; the empty text before the first. */
  readonly time: string;
}

/** What an entry can break (design 3, "Entry"). */
export type Rule =
  /** Its bytes are no entry. */
  | 'form'
  /** It names another log. */
  | 'log'
  /** Its time is before that of the entry before it. */
  | 'time'
  /** Its chain does not begin with seq 0. */
  | 'first'
  /** Its (chain, seq) was there already, or one after it. */
  | 'again'
  /** Entries of its chain are left out. */
  | 'gap'
  /** Its `prev` is not the leaf hash of the entry before it in its chain. */
  | 'link';

export interface Violation {
  readonly rule: Rule;
  /** Log index of the entry that it contradicts; null when it stands alone. */
  readonly against: number | null;
}

/**
 * Whether an entry may follow.
 * @param origin the log's
 * @param entry null: its bytes are no entry
 * @param chain the end of its chain; undefined: no entry of it was there before
 * @returns null when it may
 */
export function violationOf(
  origin: string,
  log: LogEnd,
  chain: ChainEnd | undefined,
  entry: Entry | null,
): Violation | null {
  if (!entry) return { rule: 'form', against: null };
  if (entry.log !== origin) return { rule: 'log', against: null };
  // Times of one form and zone are in the order of their texts.
  if (entry.time < log.time) return { rule: 'time', against: log.size - 1 };
  if (!chain) return entry.seq === 0 ? null : { rule: 'first', against: null };
  if (entry.seq <= chain.seq) return { rule: 'again', against: chain.index };
  if (entry.seq > chain.seq + 1) return { rule: 'gap', against: chain.index };
  return equal(entry.prev, chain.leaf) ? null : { rule: 'link', against: chain.index };
}
