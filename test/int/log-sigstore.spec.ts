import { createPublicKey, randomInt } from 'node:crypto';
// What @sigstore/verify itself calls for a bundle's log entries; it is not among its exports.
import { verifyTLogInclusion } from '@sigstore/verify/dist/tlog/index.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { LogClient } from '../../src/ledger/core/tlog/log-client.js';
import { GrowingTree } from '../../src/ledger/core/tlog/merkle.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { TILE_WIDTH } from '../../src/ledger/core/tlog/tiles.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { type Api, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { rounds } from '../support/length.js';
import { filesOf, fillLog } from '../support/log.js';

/** The short form has tiles of two levels, the long one of three. */
const SIZE = rounds(3_000, 70_000);
/** Full and partial tiles of all levels. */
const TILES = tilesAbove(SIZE);

/** @returns how many tiles stand over so many hashes */
function tilesAbove(hashes: number): number {
  return hashes === 0 ? 0 : Math.ceil(hashes / TILE_WIDTH) + tilesAbove(Math.floor(hashes / TILE_WIDTH));
}

/** DER of a SubjectPublicKeyInfo for Ed25519 up to the key (RFC 8410 section 4). */
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

type TransparencyLogEntry = Parameters<typeof verifyTLogInclusion>[0];

/** A log entry as a Sigstore bundle holds it, from the text of a tlog-proof, taken apart by hand. */
function entryOf(body: Uint8Array, tlogProof: string): TransparencyLogEntry {
  const [head = '', ...note] = tlogProof.split('\n\n');
  const [, index = '', ...hashes] = head.split('\n');
  const envelope = note.join('\n\n');
  return {
    logIndex: index.slice('index '.length),
    logId: { keyId: Buffer.alloc(0) },
    kindVersion: { kind: '', version: '' },
    integratedTime: '0',
    inclusionPromise: undefined,
    inclusionProof: {
      logIndex: index.slice('index '.length),
      rootHash: Buffer.alloc(0),
      treeSize: '0',
      hashes: hashes.map((hash) => Buffer.from(hash, 'base64')),
      checkpoint: { envelope },
    },
    canonicalizedBody: Buffer.from(body),
  };
}

describe('software that is not ours accepts us: @sigstore/verify', () => {
  const folder = temporaryFolder();
  let api: Api;
  let auditor: string;
  beforeAll(async () => {
    await fillLog(folder.path, SIZE);
    // Its first checkpoint is published before the demo's own entries.
    api = await startApi({ DATA_DIR: folder.path, PUBLISH_SECONDS: '86400' });
    auditor = await api.signIn('auditor');
  });
  afterAll(async () => {
    await api.close();
    folder.remove();
  });

  /** The log's key as Sigstore's trusted root holds those of its logs. */
  function authority(vkey = parseVerifierKey(api.vkey)) {
    return {
      logID: Buffer.from(vkey.keyId),
      baseURL: `https://${vkey.name}`,
      publicKey: createPublicKey({
        key: Buffer.concat([SPKI_ED25519, vkey.publicKey]),
        format: 'der',
        type: 'spki',
      }),
      validFor: { start: new Date(0), end: new Date(8.64e15) },
    };
  }

  it(`takes checkpoint and inclusion proofs of a log of ${SIZE} entries, ${TILES} tiles, and none that is altered`, async () => {
    const fetched = new Set<string>();
    const files = filesOf(api.address, auditor);
    const text = async (path: string) => Buffer.from((await files(path))!).toString();
    const checkpoint = openCheckpoint(await text('checkpoint'), api.vkey);
    expect(checkpoint.size).toBe(SIZE);
    const client = await LogClient.open(
      nodeHasher,
      (path) => {
        if (!path.startsWith('tile/entries/')) fetched.add(path);
        return files(path);
      },
      checkpoint,
    );
    const last = SIZE - (SIZE % TILE_WIDTH);
    const edges = [0, 1, 255, 256, 65_535, 65_536, last - 1, last, SIZE - 2, SIZE - 1];
    const some = new Set(edges.filter((index) => index < SIZE));
    while (some.size < 60) some.add(randomInt(SIZE));
    const tree = new GrowingTree(nodeHasher);
    for await (const { first, entries, leaves } of client.bundles()) {
      for (const leaf of leaves) tree.append(leaf);
      tree.settle();
      for (const index of some) {
        const body = entries[index - first];
        if (!body) continue;
        const proof = await text(`proof/${index}`);
        verifyTLogInclusion(entryOf(body, proof), [authority()]);
        for (const altered of [
          entryOf(Buffer.concat([body, Buffer.of(0)]), proof),
          entryOf(body, proof.replace(`index ${index}\n`, `index ${(index + 1) % SIZE}\n`)),
          entryOf(body, proof.replace(`\n${SIZE}\n`, `\n${SIZE - 1}\n`)),
          entryOf(body, proof.replace(/\n[^\n]+\n\n/, '\n\n')),
        ])
          expect(() => verifyTLogInclusion(altered, [authority()])).toThrow(
            /checkpoint|inclusion proof|index|hash count/,
          );
      }
    }
    expect(Buffer.from(tree.root())).toEqual(Buffer.from(checkpoint.root));
    expect(fetched.size).toBe(TILES);
  });

  it('takes no checkpoint of another key', async () => {
    const proof = Buffer.from((await filesOf(api.address)('proof/0'))!).toString();
    const other = { ...parseVerifierKey(api.vkey), publicKey: new Uint8Array(32).fill(7) };
    expect(() => verifyTLogInclusion(entryOf(Buffer.alloc(0), proof), [authority(other)])).toThrow(
      'invalid checkpoint signature',
    );
  });
});
