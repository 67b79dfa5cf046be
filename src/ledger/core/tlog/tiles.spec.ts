import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { concat } from '../bytes.js';
import { nobleHasher } from '../hasher.js';
import { GrowingTree, inclusionProof, rootAt, rootOf } from './merkle.js';
import { readFixture, someHashes } from '../../../../test/fixtures/rfc6962/vectors.js';
import {
  decodeBundle,
  encodeBundle,
  entriesPath,
  nodeInTile,
  parseTilePath,
  TileError,
  tileNodeReader,
  tilePath,
  tileWidth,
} from './tiles.js';
import { examples } from '../../../../test/support/length.js';

interface Tile {
  level: number;
  index: number;
  width: number;
  path: string;
}
const { paths, sizes } = readFixture<{
  paths: Tile[];
  sizes: { size: number; partialTiles: Tile[]; fullTilesPerLevel: number[] }[];
}>('rfc6962/tile-paths.json');

describe('tile paths', () => {
  it('are those of the vectors, and are read back', () => {
    for (const { level, index, width, path } of paths) {
      expect(level === -1 ? entriesPath(index, width) : tilePath(level, index, width)).toBe(path);
      expect(parseTilePath(path)).toEqual({ level: level === -1 ? 'entries' : level, index, width });
    }
  });

  it('come back for any coordinates', () => {
    fc.assert(
      fc.property(fc.nat(63), fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
        expect(parseTilePath(tilePath(level, index, width))).toEqual({ level, index, width });
        expect(parseTilePath(entriesPath(index, width))).toEqual({ level: 'entries', index, width });
      }),
    );
  });

  it.each([
    '',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/data/000',
    'tile/0/x000/000',
    'tile/0/001/000',
    'tile/0/x001',
    'tile/0/x001/x000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/257',
    'tile/0/000.p/01',
    'tile/0/000.p/',
    'tile/0/000/',
    '/tile/0/000',
    'tile/0/000\n',
    'tile/0/x999/x999/x999/x999/x999/999',
  ])('are not %j', (path) => {
    expect(parseTilePath(path)).toBeNull();
  });

  it('refuse coordinates that no tile has', () => {
    for (const [level, index, width] of [
      [-1, 0, 1],
      [64, 0, 1],
      [0, -1, 1],
      [0, 2 ** 53, 1],
      [0, 0, 0],
      [0, 0, 257],
      [0.5, 0, 1],
    ] as const) {
      expect(() => tilePath(level, index, width)).toThrow(TileError);
    }
  });
});

describe('tile widths', () => {
  it('are those of the vectors', () => {
    for (const { size, partialTiles, fullTilesPerLevel } of sizes) {
      for (const { level, index, width } of partialTiles) expect(tileWidth(level, index, size)).toBe(width);
      for (const [level, full] of fullTilesPerLevel.entries()) {
        expect(full === 0 || tileWidth(level, full - 1, size) === 256).toBe(true);
        const partial = partialTiles.find((tile) => tile.level === level);
        expect(tileWidth(level, full, size)).toBe(partial?.width ?? 0);
        expect(tileWidth(level, full + 1, size)).toBe(0);
      }
    }
  });

  it('follow the rule floor(size / 256^level) mod 256', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(8), (size, level) => {
        const count = BigInt(size) / 256n ** BigInt(level);
        expect(tileWidth(level, Number(count / 256n), size)).toBe(Number(count % 256n));
      }),
    );
  });
});

describe('entry bundles', () => {
  it('come back', () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 400, size: 'max' }), { maxLength: 20, size: 'max' });
    fc.assert(
      fc.property(entries, (some) => {
        expect(decodeBundle(encodeBundle(some))).toEqual(some);
      }),
    );
    const longest = new Uint8Array(65_535).fill(3);
    expect(decodeBundle(encodeBundle([longest]))).toEqual([longest]);
    expect(encodeBundle([Uint8Array.of(9, 8)])).toEqual(Uint8Array.of(0, 2, 9, 8));
  });

  it('refuse what is cut off, too long or too many', () => {
    const bytes = encodeBundle([Uint8Array.of(1, 2, 3)]);
    for (let end = 1; end < bytes.length; end++) expect(() => decodeBundle(bytes.subarray(0, end))).toThrow(TileError);
    expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow(TileError);
    expect(() => decodeBundle(new Uint8Array(2 * 257))).toThrow(TileError);
    expect(decodeBundle(new Uint8Array(2 * 256))).toHaveLength(256);
  });

  it('take no more memory than their entries, however long the bytes are', () => {
    const bytes = new Uint8Array(2 ** 20);
    const view = vi.spyOn(bytes, 'subarray');
    expect(() => decodeBundle(bytes)).toThrow('too many entries');
    expect(view).toHaveBeenCalledTimes(256);
  });
});

/** Tiles as a writer stores them: the nodes of levels 0, 8 and 16 that each batch completes, appended. */
function storedTiles(leaves: readonly Uint8Array[], batch: number): Map<string, Uint8Array> {
  const tiles = new Map<string, Uint8Array>();
  const tree = new GrowingTree(nobleHasher);
  for (let from = 0; from < leaves.length; from += batch) {
    for (const leaf of leaves.slice(from, from + batch)) tree.append(leaf);
    for (const level of [0, 1, 2]) {
      const { first, hashes } = tree.completed(8 * level);
      for (const [at, hash] of hashes.entries()) {
        const key = `${level}/${Math.floor((first + at) / 256)}`;
        tiles.set(key, concat(tiles.get(key) ?? new Uint8Array(), hash));
      }
    }
    tree.settle();
  }
  return tiles;
}

describe('nodes read from tiles', () => {
  const leaves = someHashes(66_000);
  const tiles = storedTiles(leaves, 997);
  const readFrom = (reads: string[]) => (level: number, index: number) => {
    const key = `${level}/${index}`;
    reads.push(key);
    const tile = tiles.get(key);
    return tile ? Promise.resolve(tile) : Promise.reject(new Error(`no tile ${key}`));
  };

  it('stored tiles have their widths', () => {
    expect(tiles.get('2/0')).toHaveLength(32 * tileWidth(2, 0, leaves.length));
    expect(tiles.get('1/1')).toHaveLength(32 * tileWidth(1, 1, leaves.length));
    expect(tiles.get('0/257')).toHaveLength(32 * tileWidth(0, 257, leaves.length));
    expect(tiles.size).toBe(258 + 2 + 1);
  });

  it('give the roots and proofs that the leaves give, at any size, reading each tile once', async () => {
    const size = fc.oneof(
      fc.integer({ min: 1, max: 66_000 }),
      fc.constantFrom(1, 255, 256, 257, 65_535, 65_536, 65_537, 66_000),
    );
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), async (count, place) => {
        const reads: string[] = [];
        const nodeAt = tileNodeReader(nobleHasher, readFrom(reads));
        const some = leaves.slice(0, count);
        expect(await rootAt(nobleHasher, count, nodeAt)).toEqual(rootOf(nobleHasher, some));
        const index = Math.max(0, count - 1 - (place % 300));
        const tree = new GrowingTree(nobleHasher);
        for (const leaf of some) tree.append(leaf);
        expect(await inclusionProof(nobleHasher, index, count, nodeAt)).toEqual(tree.inclusion(index));
        expect(new Set(reads).size).toBe(reads.length);
      }),
      { numRuns: examples(8) },
    );
  });

  it('are refused where the tile does not reach', () => {
    const tile = tiles.get('0/257')!;
    expect(nodeInTile(nobleHasher, tile, 0, 0)).toEqual(leaves[65_792]);
    expect(() => nodeInTile(nobleHasher, tile, 0, 208)).toThrow(TileError);
    expect(() => nodeInTile(nobleHasher, tile, 8, 0)).toThrow(TileError);
    expect(() => nodeInTile(nobleHasher, tile, 9, 0)).toThrow(TileError);
    expect(() => nodeInTile(nobleHasher, tile.subarray(1), 0, 0)).toThrow(TileError);
  });
});
