import { toBase64 } from '../bytes.js';
import {
  ChainHeadError,
  type ChainHeadReason,
  type ChainPosition,
  openStatement,
  readNumber,
  readOrigin,
  readPosition,
  readUuid,
} from './chain-head-note.js';
import { LOG_CHAIN } from '../record/entry.js';
import type { VerifierKey } from '../tlog/note.js';

/**
 * All chains of somebody whose ids lie in a range, with their heads, as the log's operator has signed them. Each list
 * is complete for its own range: no page can leave a chain out that another page would have to show, and pages of one
 * owner cover everything when each begins where another ended, from {@link BEFORE_ALL} to {@link LAST_OF_ALL}.
 */
export interface SignedChainList {
  /** The log's origin. */
  readonly origin: string;
  /** Whose chains: a patient's or an organisation's id, a UUID in lower case. */
  readonly owner: string;
  /** The range of chain ids: beyond `after`, up to and with `through`, as texts. */
  readonly after: string;
  readonly through: string;
  /** Size of the log at which all of this was so. */
  readonly size: number;
  /** In the order of their ids. */
  readonly chains: readonly ChainPosition[];
}

export type ChainListResult =
  | { readonly ok: true; readonly list: SignedChainList }
  | { readonly ok: false; readonly reason: ChainHeadReason };

export const CHAIN_LIST_HEADER = 'rxledger/chain-list/v1';
/** The log's own chain, which is nobody's: no chain of anybody comes before it. */
export const BEFORE_ALL = LOG_CHAIN;
/** The last of all UUIDs (RFC 9562 section 5.10). */
export const LAST_OF_ALL = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * The text that is signed: `rxledger/chain-list/v1\n<origin>\n<owner>\n<after> <through>\n<size>\n<count>\n`, then
 * `<chain> <seq> <base64 leaf hash>\n` for each chain.
 * @throws ChainHeadError when a part breaks its form, or the chains are not in order or not in the range
 */
export function formatChainList({ origin, owner, after, through, size, chains }: SignedChainList): string {
  const lines = chains.map(({ chain, seq, leaf }) => `${chain} ${seq} ${toBase64(leaf)}\n`);
  const text = `${CHAIN_LIST_HEADER}\n${origin}\n${owner}\n${after} ${through}\n${size}\n${chains.length}\n${lines.join('')}`;
  parseChainList(text);
  return text;
}

/** Reads a list's text, strictly. @throws ChainHeadError */
export function parseChainList(text: string): SignedChainList {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new ChainHeadError('number of lines');
  const [header, origin, owner, range, size, count, ...rest] = lines;
  if (header !== CHAIN_LIST_HEADER) throw new ChainHeadError('header');
  const [after, through, ...beyond] = (range ?? '').split(' ');
  if (beyond.length > 0) throw new ChainHeadError('range');
  const list = {
    origin: readOrigin(origin),
    owner: readUuid(owner, 'owner'),
    after: readUuid(after, 'range'),
    through: readUuid(through, 'range'),
    size: readNumber(size, 'size'),
    chains: rest.map(readLine),
  };
  if (list.after >= list.through) throw new ChainHeadError('range');
  if (readNumber(count, 'count') !== list.chains.length) throw new ChainHeadError('count');
  check(list);
  return list;
}

/**
 * Checks a signed list. It shows what the operator said, not that it is so: compare it with receipts.
 * @param key pinned by the caller, see `parseChainHeadKey`
 */
export function verifyChainList(note: string, key: VerifierKey): ChainListResult {
  const opened = openStatement(note, key, parseChainList);
  return opened.ok ? { ok: true, list: opened.value } : opened;
}

function readLine(line: string): ChainPosition {
  const [chain, seq, leaf, ...more] = line.split(' ');
  if (more.length > 0) throw new ChainHeadError('chain');
  return readPosition(chain, seq, leaf);
}

function check({ after, through, size, chains }: SignedChainList): void {
  let before = after;
  let entries = 0;
  for (const { chain, seq } of chains) {
    if (chain <= before || chain > through) throw new ChainHeadError('order');
    before = chain;
    entries += seq + 1;
  }
  // A log of that size has so many entries in all.
  if (entries > size) throw new ChainHeadError('seq');
}
