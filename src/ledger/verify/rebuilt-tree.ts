import { hash } from 'node:crypto';
import { HASH_BYTES } from '../core/hasher.js';
import { completeAt, emptyRoot } from '../core/tlog/merkle.js';
import { TILE_HEIGHT, TILE_WIDTH } from '../core/tlog/tiles.js';

const LEFT = 1;
const RIGHT = LEFT + HASH_BYTES;

export interface RebuiltTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

/**
 * SHA-256 as a string, which is much cheaper than a Buffer. `base64` is the form in entries; `binary`, one character
 * per byte, is the cheapest to copy into the next input.
 * @param input 0x00 || entry, or 0x01 || left || right (RFC 6962 section 2.1)
 */
export const sha256Text = (input: Uint8Array, form: 'base64' | 'binary' = 'base64'): string =>
  hash('sha256', input, form);

/** The input of a node's hash, 0x01 || left || right, and a view of its last 64 bytes. */
class NodeInput {
  readonly bytes = Buffer.alloc(RIGHT + HASH_BYTES, 1);
  readonly pair = this.bytes.subarray(LEFT);
  readonly left = this.bytes.subarray(LEFT, RIGHT);
}

/**
 * The RFC 6962 tree of a log, built from its first entry on. Memory grows with its height only. Made for speed; a
 * property test compares it with `GrowingTree`.
 */
export class RebuiltTree {
  size = 0;
  /** By level, the input of the next node above. */
  private readonly inputs: NodeInput[] = [];
  /** By tile level, the tile that is being filled, pair by pair. */
  private readonly filling: Buffer[] = [];
  private full: RebuiltTile[] = [];

  /** @param leaf leaf hash in base64. @returns its index */
  append(leaf: string): number {
    const index = this.size++;
    let input = this.inputAt(0);
    if (index % 2 === 0) {
      input.bytes.write(leaf, LEFT, 'base64');
      return index;
    }
    input.bytes.write(leaf, RIGHT, 'base64');
    for (let level = 0, at = index; ;) {
      if (level % TILE_HEIGHT === 0) this.keep(level / TILE_HEIGHT, at, input);
      const node = sha256Text(input.bytes, 'binary');
      level++;
      at = (at - 1) / 2;
      input = this.inputAt(level);
      if (at % 2 === 0) {
        input.bytes.write(node, LEFT, 'latin1');
        return index;
      }
      input.bytes.write(node, RIGHT, 'latin1');
    }
  }

  root(): Buffer {
    let right: Buffer | undefined;
    for (let level = 0, at = this.size; at > 0; level++, at = Math.floor(at / 2)) {
      if (at % 2 === 0) continue;
      const { left } = this.inputAt(level);
      right = right ? Buffer.from(sha256Text(Buffer.concat([Buffer.of(1), left, right])), 'base64') : Buffer.from(left);
    }
    return right ?? Buffer.from(emptyRoot);
  }

  /** The tiles that became full since the last call. */
  takeFullTiles(): RebuiltTile[] {
    const full = this.full;
    this.full = [];
    return full;
  }

  /** The tiles that are not full, without empty ones. */
  partialTiles(): RebuiltTile[] {
    const partial: RebuiltTile[] = [];
    for (let level = 0; ; level++) {
      const nodes = completeAt(this.size, level * TILE_HEIGHT);
      if (nodes === 0) return partial;
      const width = nodes % TILE_WIDTH;
      if (width === 0) continue;
      const odd = width % 2;
      const pairs = this.filling[level]?.subarray(0, (width - odd) * HASH_BYTES) ?? Buffer.alloc(0);
      const last = odd ? [this.inputAt(level * TILE_HEIGHT).left] : [];
      partial.push({ level, index: Math.floor(nodes / TILE_WIDTH), hashes: Buffer.concat([pairs, ...last]) });
    }
  }

  private inputAt(level: number): NodeInput {
    return (this.inputs[level] ??= new NodeInput());
  }

  /** @param at index of the pair's right node */
  private keep(level: number, at: number, { pair }: NodeInput): void {
    const tile = (this.filling[level] ??= Buffer.alloc(TILE_WIDTH * HASH_BYTES));
    const position = at % TILE_WIDTH;
    tile.set(pair, (position - 1) * HASH_BYTES);
    if (position === TILE_WIDTH - 1) {
      this.full.push({ level, index: (at - position) / TILE_WIDTH, hashes: Buffer.from(tile) });
    }
  }
}
