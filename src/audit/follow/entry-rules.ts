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

/** The log before an entry: what the entry has to follow. */
export interface LogSoFar {
  /** Number of entries: the next one's index. */
  readonly size: number;
  /** Time of the last entry, as entries write it; the empty text before the first. */
  readonly time: string;
}

/** The rules that an entry can break (design 3, "Entry"). */
export type Rule =
  /** Its bytes are not an entry. */
  | 'form'
  /** It names another log. */
  | 'log'
  /** Its time is earlier than that of the previous entry of the log. */
  | 'time'
  /** Its chain does not begin with seq 0. */
  | 'first'
  /** Its chain already has an entry with this seq or a larger one. */
  | 'again'
  /** Entries of its chain are missing before it. */
  | 'gap'
  /** Its `prev` is not the leaf hash of the previous entry of its chain. */
  | 'link';

export interface Violation {
  readonly rule: Rule;
  /** Log index of the entry that it contradicts; null when the entry alone breaks the rule. */
  readonly against: number | null;
}

/**
 * Checks whether an entry may follow.
 * @param origin name that the log has at this entry
 * @param chain the previous entry of the same chain; undefined: the chain is new
 * @param entry null: the bytes are not an entry
 * @returns null when it may
 */
export function violationOf(
  origin: string,
  log: LogSoFar,
  chain: ChainEnd | undefined,
  entry: Entry | null,
): Violation | null {
  if (!entry) return { rule: 'form', against: null };
  if (entry.log !== origin) return { rule: 'log', against: null };
  // All times have one form and zone, so comparing their texts compares the times.
  if (entry.time < log.time) return { rule: 'time', against: log.size - 1 };
  if (!chain) return entry.seq === 0 ? null : { rule: 'first', against: null };
  if (entry.seq <= chain.seq) return { rule: 'again', against: chain.index };
  if (entry.seq > chain.seq + 1) return { rule: 'gap', against: chain.index };
  return equal(entry.prev, chain.leaf) ? null : { rule: 'link', against: chain.index };
}
