import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeHasher } from '../../crypto/node-hasher.js';
import { utf8 } from '../bytes.js';
import { type FetchFile, LogClient, LogFileError } from './log-client.js';
import { completeAt, GrowingTree, rootOf } from './merkle.js';
import { encodeBundle, entriesPath, nodeInTile, TILE_WIDTH, tilePath, tileWidth } from './tiles.js';
import { examples } from '../../../../test/support/length.js';

/** A log's files at one size. */
interface Files {
  readonly files: Map<string, Uint8Array>;
  readonly leaves: readonly Uint8Array[];
  readonly checkpoint: { size: number; root: Uint8Array };
}

const entryAt = (index: number): Uint8Array => utf8(`entry ${index}`);

const made = new Map<number, Files>();

/** Made once, and read only. */
function filesOf(size: number): Files {
  const files = made.get(size) ?? make(size);
  made.set(size, files);
  return files;
}

function make(size: number): Files {
  const leaves: Uint8Array[] = Array.from({ length: size }, (_, index) => nodeHasher.leaf(entryAt(index)));
  const files = new Map<string, Uint8Array>();
  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle++) {
    const width = tileWidth(0, bundle, size);
    const entries = Array.from({ length: width }, (_, at) => entryAt(bundle * TILE_WIDTH + at));
    files.set(entriesPath(bundle, width), encodeBundle(entries));
  }
  let row: readonly Uint8Array[] = leaves;
  for (let level = 0; completeAt(size, 8 * level) > 0; level++) {
    const above: Uint8Array[] = [];
    for (let index = 0; index * TILE_WIDTH < row.length; index++) {
      const tile = Buffer.concat(row.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH));
      files.set(tilePath(level, index, tile.length / 32), tile);
      if (tile.length === TILE_WIDTH * 32) above.push(nodeInTile(nodeHasher, tile, 8, 0));
    }
    row = above;
  }
  return { files, leaves, checkpoint: { size, root: rootOf(nodeHasher, leaves) } };
}

const from =
  (files: ReadonlyMap<string, Uint8Array>): FetchFile =>
  (path) =>
    Promise.resolve(files.get(path) ?? null);

/** Reads the whole log, as a follower does. @returns the root rebuilt from the entries */
async function follow({ files, checkpoint }: Files): Promise<Uint8Array> {
  const client = await LogClient.open(nodeHasher, from(files), checkpoint);
  const tree = new GrowingTree(nodeHasher);
  for await (const { first, leaves } of client.bundles()) {
    expect(first).toBe(tree.size);
    for (const leaf of leaves) tree.append(leaf);
    tree.settle();
  }
  expect(tree.size).toBe(checkpoint.size);
  return tree.root();
}

describe('a log read from its files', () => {
  it.each([0, 1, 2, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 66_000])(
    'of %i entries gives its root',
    async (size) => {
      const log = filesOf(size);
      expect(await follow(log)).toEqual(log.checkpoint.root);
      await expect(
        LogClient.open(nodeHasher, from(log.files), { size, root: new Uint8Array(32) }),
      ).rejects.toBeInstanceOf(LogFileError);
    },
  );

  const log = filesOf(600);

  it('is read from any entry on', async () => {
    const client = await LogClient.open(nodeHasher, from(log.files), log.checkpoint);
    for (const start of [0, 1, 255, 256, 300, 599, 600, 601]) {
      const seen: string[] = [];
      for await (const { first, entries } of client.bundles(start)) {
        expect(first).toBe(start + seen.length);
        seen.push(...entries.map((entry) => Buffer.from(entry).toString()));
      }
      expect(seen).toEqual(Array.from({ length: Math.max(0, 600 - start) }, (_, at) => `entry ${start + at}`));
    }
  });

  it('knows the root of every smaller size', async () => {
    const client = await LogClient.open(nodeHasher, from(log.files), log.checkpoint);
    for (const size of [0, 1, 2, 3, 255, 256, 257, 511, 512, 599, 600])
      expect(await client.rootAt(size)).toEqual(rootOf(nodeHasher, log.leaves.slice(0, size)));
    await expect(client.rootAt(601)).rejects.toBeInstanceOf(RangeError);
    await expect(client.tile(0, 3)).rejects.toBeInstanceOf(RangeError);
    await expect(client.tile(2, 0)).rejects.toBeInstanceOf(RangeError);
  });

  it('is not taken with a flipped bit in any file', async () => {
    for (const [path, file] of log.files) {
      await fc.assert(
        fc.asyncProperty(fc.nat(8 * file.length - 1), async (bit) => {
          const flipped = Uint8Array.from(file);
          flipped[bit >> 3]! ^= 1 << (bit & 7);
          const files = new Map(log.files).set(path, flipped);
          await expect(follow({ ...log, files })).rejects.toBeInstanceOf(LogFileError);
        }),
        { numRuns: examples(20) },
      );
    }
  });

  it('names the file that is missing, cut, too long, or of another place', async () => {
    for (const [path, file] of log.files) {
      const files = new Map(log.files);
      files.delete(path);
      await expect(follow({ ...log, files })).rejects.toMatchObject({ path, reason: 'missing' });
      files.set(path, file.slice(0, -1));
      await expect(follow({ ...log, files })).rejects.toMatchObject({ path, reason: 'length' });
      files.set(path, new Uint8Array([...file, 0]));
      await expect(follow({ ...log, files })).rejects.toMatchObject({ path, reason: 'length' });
    }
    const swapped = new Map(log.files)
      .set('tile/0/000', log.files.get('tile/0/001')!)
      .set('tile/0/001', log.files.get('tile/0/000')!);
    await expect(follow({ ...log, files: swapped })).rejects.toMatchObject({ path: 'tile/0/000', reason: 'hash' });
  });

  it('believes no forged tile whose entries are forged to match', async () => {
    const entries = Array.from({ length: TILE_WIDTH }, (_, at) => utf8(`forged ${at}`));
    const files = new Map(log.files)
      .set('tile/entries/000', encodeBundle(entries))
      .set('tile/0/000', Buffer.concat(entries.map((entry) => nodeHasher.leaf(entry))));
    await expect(follow({ ...log, files })).rejects.toMatchObject({ path: 'tile/0/000', reason: 'hash' });
  });

  it('fetches each file once', async () => {
    const fetched: string[] = [];
    const big = filesOf(66_000);
    const client = await LogClient.open(
      nodeHasher,
      (path) => {
        fetched.push(path);
        return from(big.files)(path);
      },
      big.checkpoint,
    );
    let count = 0;
    for await (const { entries } of client.bundles()) count += entries.length;
    expect(count).toBe(66_000);
    expect(fetched.toSorted()).toEqual([...big.files.keys()].toSorted());
  });
});
