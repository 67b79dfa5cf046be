import { decodeEntry, type Entry } from '../core/entry.js';
import { completeAt, GrowingTree } from '../core/merkle.js';
import { TILE_WIDTH } from '../core/tiles.js';
import { nodeHasher } from '../node-hasher.js';
import type { Findings } from './report.js';

const HASH = 32;

/** The last entry seen of one chain. */
export interface ChainEnd {
  /** Log index of its first entry. */
  readonly num: number;
  seq: number;
  leaf: Uint8Array;
}

/**
 * Follows a log entry by entry: rebuilds the tree, checks every link against the leaf of the entry before it in
 * its own chain, and that times do not run backwards. A chain takes some 200 bytes of memory.
 */
export class EntryAudit {
  readonly chains = new Map<string, ChainEnd>();
  readonly tree = new GrowingTree(nodeHasher);
  /** Of the last entry that is one, and its index. */
  time = '';
  timedAt = -1;
  /** Entries without a finding of their own. */
  verified = 0;

  constructor(
    private readonly origin: string,
    private readonly findings: Findings,
    private readonly table: string,
  ) {}

  /** @param bytes the STORED bytes of the entry at the next index */
  take(bytes: Uint8Array): { index: number; leaf: Uint8Array; entry: Entry | null; end: ChainEnd | null } {
    const leaf = nodeHasher.leaf(bytes);
    const index = this.tree.append(leaf);
    const wrong = (what: string): void => this.findings.add('tampered', this.table, { index }, what);
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch {
      wrong('is not an entry');
      return { index, leaf, entry: null, end: null };
    }
    const before = this.findings.tampered;
    if (entry.log !== this.origin) wrong('names another log');
    if (entry.time < this.time) wrong('time runs backwards');
    this.time = entry.time;
    this.timedAt = index;
    let end = this.chains.get(entry.chain);
    if (!end) {
      if (entry.seq !== 0) wrong('its chain does not begin with seq 0');
      end = { num: index, seq: entry.seq, leaf };
      this.chains.set(entry.chain, end);
    } else {
      if (entry.seq !== end.seq + 1) wrong('its seq does not follow the chain');
      if (!Buffer.from(entry.prev).equals(end.leaf))
        wrong('its prev is not the leaf of the entry before it in its chain');
      end.seq = entry.seq;
      end.leaf = leaf;
    }
    if (this.findings.tampered === before) this.verified++;
    return { index, leaf, entry, end };
  }
}

/**
 * Compares the stored hash tiles with those of a tree that was rebuilt from the entries.
 * @param read the stored tile, or null
 */
export class TileAudit {
  /** Hashes of the tile that is being filled, by level. */
  private readonly filling: Uint8Array[][] = [];
  /** Leaves whose stored hash differs from the rebuilt one: either the entry or the tile was edited. */
  readonly differing: number[] = [];
  tiles = 0;

  constructor(
    private readonly read: (level: number, index: number) => Promise<Uint8Array | null>,
    private readonly findings: Findings,
  ) {}

  /** Call it before the tree settles. */
  async take(tree: GrowingTree): Promise<void> {
    for (let level = 0; completeAt(tree.size, level * 8) > 0; level++) {
      const filling = (this.filling[level] ??= []);
      const { first, hashes } = tree.completed(level * 8);
      let index = Math.floor(first / TILE_WIDTH);
      for (const hash of hashes) {
        filling.push(hash);
        if (filling.length === TILE_WIDTH) await this.compare(level, index++, filling.splice(0));
      }
    }
  }

  async finish(size: number): Promise<void> {
    for (const [level, filling] of this.filling.entries()) {
      if (filling.length > 0) await this.compare(level, Math.floor(completeAt(size, level * 8) / TILE_WIDTH), filling);
    }
  }

  private async compare(level: number, index: number, hashes: readonly Uint8Array[]): Promise<void> {
    this.tiles++;
    const stored = await this.read(level, index);
    if (stored === null) {
      this.findings.add('missing', 'tile', { level, index }, 'there is no such tile');
      return;
    }
    const expected = Buffer.concat(hashes);
    if (expected.equals(stored)) return;
    if (stored.length !== expected.length)
      this.findings.add('tampered', 'tile', { level, index }, 'has another width than the tree');
    const positions: number[] = [];
    for (let at = 0; at < hashes.length; at++) {
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
