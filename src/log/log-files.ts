import { Injectable } from '@nestjs/common';
import { LOG_CHAIN } from '../ledger/core/entry.js';
import { HASH_BYTES } from '../ledger/core/hasher.js';
import { consistencyProof, inclusionProof } from '../ledger/core/merkle.js';
import { encodeBundle, TILE_WIDTH } from '../ledger/core/tiles.js';
import { encodeHashes, encodeTlogProof } from '../ledger/core/tlog-proof.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { disclosed, openClear } from '../ledger/payload.js';
import { TileProofs } from '../ledger/tile-proof.js';
import { tileReader } from '../ledger/tip.js';
import { Served } from './rounds-served.js';

/** An event whose payload is for everybody. Bytes are base64. */
export interface ClearEvent {
  /** Log index. */
  readonly index: number;
  readonly entry: string;
  readonly payload: string;
  readonly salt: string;
}

/**
 * The log as files (C2SP tlog-tiles): what the served tree holds, and null for whatever it does not hold, be it
 * stored already or not. Authorises nothing: the routes do.
 */
@Injectable()
export class LogFiles {
  private readonly proofs: TileProofs;

  constructor(
    private readonly reader: LedgerReader,
    private readonly served: Served,
  ) {
    this.proofs = new TileProofs(reader.db);
  }

  /** The first `width` hashes of a tile. A partial one is the beginning of what is stored. */
  async tile(level: number, index: number, width: number): Promise<Uint8Array | null> {
    const leaves = (index * TILE_WIDTH + width) * 256 ** level;
    if (!(await this.served.reaches(leaves))) return null;
    const stored = await tileReader(this.reader.db)(level, index);
    if (stored.length < width * HASH_BYTES) throw new Error('a tile is narrower than the published tree');
    return stored.subarray(0, width * HASH_BYTES);
  }

  /** The bundle of the first `width` entries of a level 0 tile. */
  async bundle(index: number, width: number): Promise<Uint8Array | null> {
    const first = index * TILE_WIDTH;
    if (!(await this.served.reaches(first + width))) return null;
    const rows = await this.reader.db.query<{ entry: Buffer }>(
      'SELECT entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
      [first, first + width],
    );
    if (rows.length !== width) throw new Error('a bundle has fewer entries than the published tree');
    return encodeBundle(rows.map(({ entry }) => entry));
  }

  /** A tlog-proof of the entry at that index, against the checkpoint that is served. */
  async proof(index: number): Promise<string | null> {
    const newest = await this.served.newest();
    if (!newest || index >= newest.size) return null;
    const proof = await this.proofs.prove((hasher, nodeAt) => inclusionProof(hasher, index, newest.size, nodeAt));
    return encodeTlogProof({ index, proof, checkpoint: newest.checkpoint });
  }

  /**
   * The consistency proof between the trees of two sizes, a hash a line.
   * @param older at most `newer`; of the empty tree there is nothing to prove, the proof has no lines
   */
  async consistency(older: number, newer: number): Promise<string | null> {
    if (!(await this.served.reaches(newer))) return null;
    if (older === 0) return encodeHashes([]);
    return encodeHashes(await this.proofs.prove((hasher, nodeAt) => consistencyProof(hasher, older, newer, nodeAt)));
  }

  /** Events of the log chain in the served tree, in its order. @param after log index of the last one of the page before */
  async chain(after: number, limit: number): Promise<ClearEvent[]> {
    const newest = await this.served.newest();
    const rows = await this.reader.db.query<{ idx: number; entry: Buffer; body: Buffer }>(
      `SELECT e.idx, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx
       WHERE e.chain = (SELECT num FROM chain WHERE id = ?) AND e.idx > ? AND e.idx < ? ORDER BY e.seq LIMIT ?`,
      [LOG_CHAIN, after, newest?.size ?? 0, limit],
    );
    return rows.map(({ idx, entry, body }) => {
      openClear(entry, body);
      return { index: idx, entry: entry.toString('base64'), ...disclosed(body) };
    });
  }
}
