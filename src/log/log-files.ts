import type { Receipt } from '../ledger/core/record/receipt.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { Injectable } from '@nestjs/common';
import { LOG_CHAIN } from '../ledger/core/record/entry.js';
import { HASH_BYTES } from '../ledger/core/hasher.js';
import { consistencyProof, inclusionProof } from '../ledger/core/tlog/merkle.js';
import { encodeBundle, TILE_WIDTH } from '../ledger/core/tlog/tiles.js';
import { encodeHashes, encodeTlogProof } from '../ledger/core/tlog/tlog-proof.js';
import { readKeyHistory } from '../ledger/read/key-history.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { moveReceipt } from '../ledger/read/handover-receipt.js';
import { disclosed, openClear } from '../ledger/store/payload.js';
import { TileProofs } from '../ledger/read/stored-proofs.js';
import { readHead, tileReader } from '../ledger/store/tip.js';
import { ServedCheckpoint } from './checkpoints/served.js';

/** An event with a public payload. Bytes are base64. */
export interface ClearEvent {
  /** Log index. */
  readonly index: number;
  readonly entry: string;
  readonly payload: string;
  readonly salt: string;
}

/**
 * The log as files (C2SP tlog-tiles), limited to the served tree: null for anything beyond it, even if it is stored
 * already. Access rights are checked by the routes.
 */
@Injectable()
export class LogFiles {
  /** The last result of {@link continued} with the log's name at that time. It is valid while the name is the same. */
  private renamed: { origin: string; receipts: readonly Receipt[] } = { origin: '', receipts: [] };
  /** The last result of {@link rotations} with the log's key at that time. It is valid while the key is the same. */
  private replaced: { vkey: string; receipts: readonly Receipt[] } = { vkey: '', receipts: [] };
  private readonly proofs: TileProofs;

  constructor(
    private readonly reader: LedgerReader,
    private readonly db: ReadDb,
    private readonly served: ServedCheckpoint,
  ) {
    this.proofs = new TileProofs(db);
  }

  /** The first `width` hashes of a tile. A partial one is the beginning of what is stored. */
  async tile(level: number, index: number, width: number): Promise<Uint8Array | null> {
    const leaves = (index * TILE_WIDTH + width) * 256 ** level;
    if (!(await this.served.reaches(leaves))) return null;
    const stored = await tileReader(this.db)(level, index);
    if (stored.length < width * HASH_BYTES) throw new Error('a tile is narrower than the published tree');
    return stored.subarray(0, width * HASH_BYTES);
  }

  /** The bundle of the first `width` entries of a level 0 tile. */
  async bundle(index: number, width: number): Promise<Uint8Array | null> {
    const first = index * TILE_WIDTH;
    if (!(await this.served.reaches(first + width))) return null;
    const rows = await this.db.query<{ entry: Buffer }>(
      'SELECT entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx',
      [first, first + width],
    );
    if (rows.length !== width) throw new Error('a bundle has fewer entries than the published tree');
    return encodeBundle(rows.map(({ entry }) => entry));
  }

  /** A tlog-proof of the entry at that index, against the served checkpoint. */
  async proof(index: number): Promise<string | null> {
    const newest = await this.served.newest();
    if (!newest || index >= newest.size) return null;
    const proof = await this.proofs.prove((hasher, nodeAt) => inclusionProof(hasher, index, newest.size, nodeAt));
    return encodeTlogProof({ index, proof, checkpoint: newest.checkpoint });
  }

  /**
   * The consistency proof between the trees of two sizes, one hash per line.
   * @param older at most `newer`; 0 gives a proof without lines, since the empty tree needs none
   */
  async consistency(older: number, newer: number): Promise<string | null> {
    if (!(await this.served.reaches(newer))) return null;
    if (older === 0) return encodeHashes([]);
    return encodeHashes(await this.proofs.prove((hasher, nodeAt) => consistencyProof(hasher, older, newer, nodeAt)));
  }

  /**
   * Events of the log chain in the served tree, in log order.
   * @param after log index of the previous page's last event
   */
  async chain(after: number, limit: number): Promise<ClearEvent[]> {
    const rows = await this.db.query<{ idx: number; entry: Buffer; body: Buffer }>(
      `SELECT e.idx, e.entry, p.body FROM entry e JOIN payload p ON p.idx = e.idx
       WHERE e.chain = (SELECT num FROM chain WHERE id = ?) AND e.idx > ? ORDER BY e.seq LIMIT ?`,
      [LOG_CHAIN, after, limit],
    );
    const shown: ClearEvent[] = [];
    for (const { idx, entry, body } of rows) {
      if (!(await this.served.reaches(idx + 1))) break;
      openClear(entry, body);
      shown.push({ index: idx, entry: entry.toString('base64'), ...disclosed(body) });
    }
    return shown;
  }

  /**
   * The events that replaced the log's key, oldest first, each with the checkpoint that both keys have signed. Whoever
   * has pinned one of the keys can follow from there. Only events in the served tree.
   */
  async rotations(): Promise<Receipt[]> {
    const { origin, vkey } = (await readHead(this.db)) ?? { origin: '', vkey: '' };
    if (this.replaced.vkey !== vkey) {
      const { rotations } = await readKeyHistory(this.db, origin);
      const receipts: Receipt[] = [];
      for (const rotation of rotations) if (rotation.origin === origin) receipts.push(await this.move(rotation.size));
      this.replaced = { vkey, receipts };
    }
    const shown: Receipt[] = [];
    for (const receipt of this.replaced.receipts) if (await this.served.reaches(receipt.index + 1)) shown.push(receipt);
    return shown;
  }

  /**
   * The events by which the log took another name, oldest first, each with the first checkpoint that contains it. Only
   * events in the served tree.
   */
  async continued(): Promise<Receipt[]> {
    const { origin } = (await readHead(this.db)) ?? { origin: '' };
    if (this.renamed.origin !== origin) {
      const { continuations } = await readKeyHistory(this.db, origin);
      const receipts: Receipt[] = [];
      for (const one of continuations) receipts.push({ ...(await this.move(one.size)), log: one.origin });
      this.renamed = { origin, receipts };
    }
    const shown: Receipt[] = [];
    for (const receipt of this.renamed.receipts) if (await this.served.reaches(receipt.index + 1)) shown.push(receipt);
    return shown;
  }

  /** The receipt of an event that replaced the key or the name, under the first checkpoint that contains it. */
  private async move(index: number): Promise<Receipt> {
    const receipt = await moveReceipt(this.db, this.proofs, this.reader.origin, index);
    if (!receipt) throw new Error('the checkpoint by which the key was replaced is not there');
    return receipt;
  }
}
