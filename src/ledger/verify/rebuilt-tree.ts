import { hash } from 'node:crypto';
import { HASH_BYTES } from '../core/hasher.js';
import { completeAt, emptyRoot } from '../core/merkle.js';
import { TILE_HEIGHT, TILE_WIDTH } from '../core/tiles.js';

const LEFT = 1;
const RIGHT = LEFT + HASH_BYTES;

/** A hash tile as the tree has it. */
export interface RebuiltTile {
  readonly level: number;
  readonly index: number;
  readonly hashes: Buffer;
}

/**
 * SHA-256 in base64: a string digest, in the form that entries carry, costs a fraction of one in a Buffer of its own.
 * @param input 0x00 || entry, or 0x01 || left || right (RFC 6962 section 2.1)
 */
export const sha256Text = (input: Uint8Array): string => hash('sha256', input, 'base64');

/**
 * The RFC 6962 tree of a log that is read from its first entry on, in the memory of its height: made for speed alone,
 * held equal to `GrowingTree` by a property test. Hashes are base64.
 */
export class RebuiltTree {
  size = 0;
  /** By level, 0x01 || left || right: what the next node above is hashed from. */
  private readonly inputs: Buffer[] = [];
  /** By level of tiles, the tile that is being filled. */
  private readonly filling: Buffer[] = [];
  private full: RebuiltTile[] = [];

  /** @param leaf leaf hash. @returns its index */
  append(leaf: string): number {
    const index = this.size++;
    let node = leaf;
    let at = index;
    for (let level = 0; ; level++) {
      if (level % TILE_HEIGHT === 0) this.keep(level / TILE_HEIGHT, at, node);
      const input = (this.inputs[level] ??= Buffer.alloc(RIGHT + HASH_BYTES, 1));
      if (at % 2 === 0) {
        input.write(node, LEFT, 'base64');
        return index;
      }
      input.write(node, RIGHT, 'base64');
      node = sha256Text(input);
      at = (at - 1) / 2;
    }
  }

  root(): Buffer {
    let right: Buffer | undefined;
    for (let level = 0, at = this.size; at > 0; level++, at = Math.floor(at / 2)) {
      if (at % 2 === 0) continue;
      const left = this.inputs[level]!.subarray(LEFT, RIGHT);
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
    return this.filling.flatMap((hashes, level) => {
      const nodes = completeAt(this.size, level * TILE_HEIGHT);
      const width = nodes % TILE_WIDTH;
      const index = Math.floor(nodes / TILE_WIDTH);
      return width === 0 ? [] : [{ level, index, hashes: hashes.subarray(0, width * HASH_BYTES) }];
    });
  }

  private keep(level: number, at: number, node: string): void {
    const tile = (this.filling[level] ??= Buffer.alloc(TILE_WIDTH * HASH_BYTES));
    const position = at % TILE_WIDTH;
    tile.write(node, position * HASH_BYTES, 'base64');
    if (position === TILE_WIDTH - 1) {
      this.full.push({ level, index: (at - position) / TILE_WIDTH, hashes: Buffer.from(tile) });
    }
  }
}
