import { isKeyName } from '../core/tlog/note.js';
import { type LogName, nameAt } from '../read/key-history.js';
import { toBase64 } from '../core/bytes.js';
import { decodeEntry, type Entry, isEntryTime, ZERO32 } from '../core/record/entry.js';
import { TILE_WIDTH, MAX_ENTRY_BYTES } from '../core/tlog/tiles.js';
import { RebuiltTree, type RebuiltTile, sha256Text } from './rebuilt-tree.js';
import type { Findings } from './report.js';

const HASH = 32;

/** The last entry seen of one chain. */
export interface ChainEnd {
  /** Log index of its first entry. */
  readonly num: number;
  seq: number;
  /** base64. */
  leaf: string;
}

export interface TakenEntry {
  readonly index: number;
  /** Null when the bytes are not an entry. */
  readonly seq: number | null;
  readonly chain: string;
  readonly end: ChainEnd | null;
}

/**
 * Follows a log entry by entry: rebuilds the tree, checks each entry's link to its chain's previous entry, and checks
 * that times never run backwards. A chain takes some 250 bytes of memory.
 */
export class EntryAudit {
  readonly chains = new Map<string, ChainEnd>();
  readonly tree = new RebuiltTree();
  /** Time of the last well-formed entry; `timedAt` is its index. */
  time = '';
  timedAt = -1;
  /** Entries without a finding of their own. */
  verified = 0;
  private origin = '';
  /** The bytes between commitment and prev in every entry of this log. */
  private beforePrev = BEYOND_LATIN1;
  /** First index at which entries carry another name. */
  private until = 0;

  /** @param names of the log, oldest first */
  constructor(
    private readonly names: readonly LogName[],
    private readonly findings: Findings,
    private readonly table: string,
  ) {}

  private called(index: number): void {
    this.origin = nameAt(this.names, index);
    this.until = this.names.find(({ from }) => from > index)?.from ?? Number.POSITIVE_INFINITY;
    // An invalid name cannot occur in an entry.
    this.beforePrev = isKeyName(this.origin)
      ? Buffer.from(`","log":${JSON.stringify(this.origin)},"prev":"`).toString('latin1')
      : BEYOND_LATIN1;
  }

  /**
   * @param bytes 0x00 and the STORED bytes of the entry at the next index, from `start` to `end`
   * @param text all of `bytes`, one character per byte
   */
  take(bytes: Buffer, text = bytes.toString('latin1'), start = 0, end = bytes.length): TakenEntry {
    const leaf = sha256Text(bytes.subarray(start, end));
    const index = this.tree.append(leaf);
    if (index >= this.until) this.called(index);
    return (
      this.expected(bytes, text, start + 1, end, index, leaf) ??
      this.examine(bytes.subarray(start + 1, end), index, leaf)
    );
  }

  /**
   * The fast path: recognises the exact next entry of its chain by its text, without parsing. The variable parts are
   * checked as `decodeEntry` would.
   * @returns null for any other entry
   */
  private expected(
    bytes: Buffer,
    text: string,
    start: number,
    end: number,
    index: number,
    leaf: string,
  ): TakenEntry | null {
    // Comparing slices costs a tenth of `startsWith`.
    if (end - start > MAX_ENTRY_BYTES || text.slice(start, start + CHAIN) !== BEFORE_CHAIN) return null;
    const afterChain = start + CHAIN + UUID_LENGTH;
    let chain = text.slice(start + CHAIN, afterChain);
    const known = this.chains.get(chain);
    if (!known && !UUID.test(chain)) return null;
    const commitment = afterChain + BEFORE_COMMITMENT.length;
    if (text.slice(afterChain, commitment) !== BEFORE_COMMITMENT || !isHashText(bytes, commitment)) return null;
    const prev = commitment + HASH_TEXT + this.beforePrev.length;
    if (text.slice(commitment + HASH_TEXT, prev) !== this.beforePrev) return null;
    const afterPrev = prev + HASH_TEXT;
    if (text.slice(prev, afterPrev) !== (known ? known.leaf : NO_PREV)) return null;
    const seq = known ? known.seq + 1 : 0;
    if (seq > LONGEST_CHAIN) return null;
    const beforeTime = beforeTimeOf(seq);
    const at = afterPrev + beforeTime.length;
    const afterTime = at + TIME_LENGTH;
    if (afterTime + AFTER_TIME.length !== end) return null;
    if (text.slice(afterPrev, at) !== beforeTime || text.slice(afterTime, end) !== AFTER_TIME) return null;
    if (text.slice(at, afterTime) !== this.time) {
      const time = bytes.toString('latin1', at, afterTime);
      if (time < this.time || !isEntryTime(time)) return null;
      this.time = time;
    }
    this.timedAt = index;
    this.verified++;
    if (known) {
      known.seq = seq;
      known.leaf = leaf;
      return { index, seq, chain, end: known };
    }
    // A slice would keep the whole text alive.
    chain = bytes.toString('latin1', start + CHAIN, afterChain);
    const opened = { num: index, seq, leaf };
    this.chains.set(chain, opened);
    return { index, seq, chain, end: opened };
  }

  private examine(bytes: Uint8Array, index: number, leaf: string): TakenEntry {
    const wrong = (what: string): void => this.findings.add('tampered', this.table, { index }, what);
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch {
      wrong('is not an entry');
      return { index, seq: null, chain: '', end: null };
    }
    const before = this.findings.tampered;
    if (entry.log !== this.origin) wrong('names another log');
    if (entry.time < this.time) wrong('time runs backwards');
    this.time = entry.time;
    this.timedAt = index;
    const { chain, seq } = entry;
    let end = this.chains.get(chain);
    if (!end) {
      if (seq !== 0) wrong('its chain does not begin with seq 0');
      end = { num: index, seq, leaf };
      this.chains.set(chain, end);
    } else {
      if (seq !== end.seq + 1) wrong('its seq does not follow the chain');
      if (toBase64(entry.prev) !== end.leaf) wrong('its prev is not the leaf of the entry before it in its chain');
      end.seq = seq;
      end.leaf = leaf;
    }
    if (this.findings.tampered === before) this.verified++;
    return { index, seq, chain, end };
  }
}

// Offsets in the canonical text of an entry (RFC 8785 orders its members).
const BEFORE_CHAIN = '{"chain":"';
const CHAIN = BEFORE_CHAIN.length;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UUID_LENGTH = 36;
const BEFORE_COMMITMENT = '","commitment":"';
/** Characters of 32 bytes in base64. */
const HASH_TEXT = 44;
const NO_PREV = toBase64(ZERO32);
const TIME_LENGTH = '2026-01-01T00:00:00Z'.length;
const AFTER_TIME = '","v":1}';
const BEYOND_LATIN1 = '\u{fffd}';
/** Far beyond real chains, far below the largest safe integer. */
const LONGEST_CHAIN = 1_000_000_000;

const EQUALS = '='.charCodeAt(0);
const BASE64 = new Uint8Array(256);
/** Base64 characters that are canonical at the end of a last group of two bytes: their low bits are zero. */
const BASE64_LAST = new Uint8Array(256);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
for (let at = 0; at < ALPHABET.length; at++) {
  BASE64[ALPHABET.charCodeAt(at)] = 1;
  if (at % 4 === 0) BASE64_LAST[ALPHABET.charCodeAt(at)] = 1;
}

/** Whether 32 bytes in canonical base64 stand there. */
function isHashText(bytes: Uint8Array, at: number): boolean {
  const last = at + HASH_TEXT - 2;
  for (let i = at; i < last; i++) if (BASE64[bytes[i]!] !== 1) return false;
  return BASE64_LAST[bytes[last]!] === 1 && bytes[last + 1] === EQUALS;
}

const beforeTimes: string[] = [];

/** The text between prev and time. It is cached for small numbers, since most chains are short. */
function beforeTimeOf(seq: number): string {
  if (seq >= 1000) return `","seq":${seq},"time":"`;
  return (beforeTimes[seq] ??= `","seq":${seq},"time":"`);
}

/**
 * Compares the stored hash tiles with those of the tree rebuilt from the entries.
 * @param read the stored tile, or null
 */
export class TileAudit {
  /** Leaves whose stored hash differs from the rebuilt one: either the entry or the tile was edited. */
  readonly differing: number[] = [];
  tiles = 0;

  constructor(
    private readonly read: (level: number, index: number) => Promise<Uint8Array | null>,
    private readonly findings: Findings,
  ) {}

  /** Compares the tiles that became full since the last call. */
  async take(tree: RebuiltTree): Promise<void> {
    for (const tile of tree.takeFullTiles()) await this.compare(tile);
  }

  async finish(tree: RebuiltTree): Promise<void> {
    await this.take(tree);
    for (const tile of tree.partialTiles()) await this.compare(tile);
  }

  private async compare({ level, index, hashes: expected }: RebuiltTile): Promise<void> {
    this.tiles++;
    const stored = await this.read(level, index);
    if (stored === null) {
      this.findings.add('missing', 'tile', { level, index }, 'there is no such tile');
      return;
    }
    if (expected.equals(stored)) return;
    if (stored.length !== expected.length)
      this.findings.add('tampered', 'tile', { level, index }, 'has another width than the tree');
    const positions: number[] = [];
    for (let at = 0; at < expected.length / HASH; at++) {
      if (!expected.subarray(at * HASH, (at + 1) * HASH).equals(stored.subarray(at * HASH, (at + 1) * HASH)))
        positions.push(at);
    }
    if (level === 0) this.differing.push(...positions.map((at) => index * TILE_WIDTH + at));
    const [first] = positions;
    if (first === undefined) return;
    const where = { level, index, position: first, positions: positions.length };
    this.findings.add('tampered', 'tile', where, 'differs from the tree rebuilt from the entries');
  }
}
