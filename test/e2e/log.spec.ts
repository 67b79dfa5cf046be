import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EncodingError, fromUtf8 } from '../../src/ledger/core/bytes.js';
import { type Checkpoint, CheckpointError, openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { type FetchFile, LogClient, LogFileError } from '../../src/ledger/core/tlog/log-client.js';
import { GrowingTree } from '../../src/ledger/core/tlog/merkle.js';
import { NoteError } from '../../src/ledger/core/tlog/note.js';
import { verifyConsistency, verifyInclusion } from '../../src/ledger/core/tlog/proof.js';
import { decodeBundle } from '../../src/ledger/core/tlog/tiles.js';
import { parseHashes, parseTlogProof, TlogProofError } from '../../src/ledger/core/tlog/tlog-proof.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { type Api, issue, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { filesOf, fillLog } from '../support/log.js';
import { examples, rounds } from '../support/length.js';

/** Entries that are published; more are in the log, which is published once a day here. */
const SIZE = 600;
const folder = temporaryFolder();
let api: Api;
let auditor: string;
/** Every file that a follower fetches. */
const files = new Map<string, Uint8Array>();

const text = async (path: string): Promise<string> => fromUtf8((await filesOf(api.address)(path))!);
const stored: FetchFile = (path) => Promise.resolve(files.get(path) ?? null);

beforeAll(async () => {
  await fillLog(folder.path, SIZE);
  api = await startApi({ DATA_DIR: folder.path, PUBLISH_SECONDS: '86400' });
  auditor = await api.signIn('auditor');
  await issue(api);
  const fetch = filesOf(api.address, auditor);
  await follow(async (path) => {
    const file = await fetch(path);
    if (file) files.set(path, file);
    return file;
  });
  files.set('checkpoint', (await fetch('checkpoint'))!);
});
afterAll(async () => {
  await api.close();
  folder.remove();
});

/** Verifies a log from its files alone, as an auditor with the key does. @returns the checkpoint */
async function follow(fetch: FetchFile): Promise<Checkpoint> {
  const checkpoint = openCheckpoint(fromUtf8((await fetch('checkpoint'))!), api.vkey);
  const client = await LogClient.open(nodeHasher, fetch, checkpoint);
  const tree = new GrowingTree(nodeHasher);
  for await (const { entries } of client.bundles()) for (const entry of entries) tree.append(nodeHasher.leaf(entry));
  if (!Buffer.from(tree.root()).equals(checkpoint.root)) throw new LogFileError('checkpoint', 'hash');
  return checkpoint;
}

/** The status of a request whose path no client library tidies up. */
async function statusOf(path: string): Promise<string> {
  const { hostname, port } = new URL(api.address);
  const sent = httpRequest({ hostname, port, path, headers: { authorization: `Bearer ${auditor}` } }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of answer) body += String(chunk);
  const problem = answer.headers['content-type'] === 'application/problem+json';
  if (problem) expect(answer.headers['cache-control']).toBe('no-store');
  return `${answer.statusCode}${problem ? ` ${(JSON.parse(body) as { code: string }).code}` : ''}`;
}

describe('the log as files', () => {
  it('is verified whole by whoever has the key', async () => {
    expect(await follow(filesOf(api.address, auditor))).toMatchObject({ origin: 'test.example/log', size: SIZE });
    expect([...files.keys()].toSorted()).toEqual(
      [
        'checkpoint',
        ...['000', '001', '002.p/88'].flatMap((tile) => [`tile/0/${tile}`, `tile/entries/${tile}`]),
        'tile/1/000.p/2',
      ].toSorted(),
    );
  });

  it.each([
    ['checkpoint', 'text/plain; charset=utf-8', 'public, max-age=1'],
    ['proof/7', 'text/plain; charset=utf-8', 'public, max-age=1'],
    ['consistency/7/600', 'text/plain; charset=utf-8', 'public, max-age=31536000, immutable'],
    ['tile/0/000', 'application/octet-stream', 'public, max-age=31536000, immutable'],
    ['tile/0/002.p/88', 'application/octet-stream', 'public, max-age=31536000, immutable'],
    ['tile/entries/000', 'application/octet-stream', 'private, max-age=31536000, immutable'],
    ['tile/entries/002.p/88', 'application/octet-stream', 'private, max-age=31536000, immutable'],
  ])('%s has the headers of C2SP tlog-tiles', async (path, type, caching) => {
    const answer = await fetch(`${api.address}/log/${path}`, { headers: { authorization: `Bearer ${auditor}` } });
    expect({ status: answer.status, type: answer.headers.get('content-type') }).toEqual({ status: 200, type });
    expect(answer.headers.get('cache-control')).toBe(caching);
  });

  it.each<[string, string | undefined, boolean]>([
    ['gzip', 'gzip, br', true],
    ['gzip by another weight', 'br;q=1, gzip;q=0.5', true],
    ['nothing but itself', undefined, false],
    ['no gzip', 'gzip;q=0, br', false],
    ['no gzip, by more digits', 'gzip; q=0.000', false],
    ['what only looks like it', 'notgzip', false],
  ])('an entry bundle for whoever takes %s', async (_, encoding, zipped) => {
    const { hostname, port } = new URL(api.address);
    const headers = { authorization: `Bearer ${auditor}`, ...(encoding && { 'accept-encoding': encoding }) };
    const sent = httpRequest({ hostname, port, path: '/log/tile/entries/000', headers }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const body = await buffer(answer);
    expect(answer.headers).toMatchObject({ vary: 'accept-encoding', 'content-type': 'application/octet-stream' });
    expect(answer.headers['content-encoding']).toBe(zipped ? 'gzip' : undefined);
    expect(zipped ? gunzipSync(body) : body).toEqual(Buffer.from(files.get('tile/entries/000')!));
  });

  it('answers a partial tile from what is stored, full or not', async () => {
    const [full, entries] = [files.get('tile/0/000')!, decodeBundle(files.get('tile/entries/000')!)];
    const fetch = filesOf(api.address, auditor);
    for (const width of [1, 2, 17, 255]) {
      expect(await fetch(`tile/0/000.p/${width}`)).toEqual(full.slice(0, 32 * width));
      expect(decodeBundle((await fetch(`tile/entries/000.p/${width}`))!)).toEqual(entries.slice(0, width));
    }
    expect(await fetch('tile/0/002.p/3')).toEqual(files.get('tile/0/002.p/88')!.slice(0, 96));
    expect(await fetch('tile/1/000.p/1')).toEqual(files.get('tile/1/000.p/2')!.slice(0, 32));
  });

  it('serves nothing beyond the published checkpoint, though it is stored', async () => {
    const [head] = await api.db.query<{ size: number }>('SELECT size FROM log_head');
    expect(head!.size).toBeGreaterThan(SIZE);
    for (const path of [
      `tile/0/002.p/${head!.size - 512}`,
      'tile/0/002.p/89',
      'tile/0/002',
      'tile/0/003.p/1',
      'tile/1/000.p/3',
      'tile/1/000',
      'tile/2/000.p/1',
      'tile/63/000.p/1',
      'tile/63/x009/x007/x199/x254/x740/991',
      'tile/0/x009/x007/x199/x254/x740/991',
      'tile/entries/002.p/89',
      'tile/entries/002',
      'tile/entries/x001/x234/067',
      'tile/entries/x009/x007/x199/x254/x740/991.p/255',
      `proof/${SIZE}`,
      'proof/9007199254740991',
      `consistency/1/${SIZE + 1}`,
      `consistency/0/${SIZE + 1}`,
      `consistency/${SIZE + 1}/${SIZE + 1}`,
      'consistency/0/9007199254740991',
    ])
      expect([path, await statusOf(`/log/${path}`)]).toEqual([path, '404 log.not-there']);
  });

  it.each([
    'tile/',
    'tile/0',
    'tile/0/',
    'tile/0/0',
    'tile/0/00',
    'tile/0/0000',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/-01',
    'tile/0/x000/000',
    'tile/0/000/000',
    'tile/0/x000',
    'tile/0/x001/x000',
    'tile/0/X001/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000.p/-1',
    'tile/0/000.p/',
    'tile/0/000.p',
    'tile/0/000.p/1/',
    'tile/0/000/',
    'tile/0//000',
    'tile//0/000',
    'tile/0/x009/x007/x199/x254/x740/992',
    `tile/0/${'x999/'.repeat(15)}999`,
    'tile/0/%30%30%30',
    'tile/0/x001%2F000',
    'tile/0/000.p%2F1',
    'tile/0/000%00',
    'tile/0/٠٠٠',
    'tile/data/000',
    'tile/entries/000.p/0',
    'tile/entries/000.p/256',
    'tile/entries/x000/000',
    'tile/entries/',
    'tile/entries/000/',
    'proof/01',
    'proof/-1',
    'proof/+1',
    'proof/1.0',
    'proof/1e2',
    'proof/0x1',
    'proof/9007199254740992',
    `proof/${'9'.repeat(90)}`,
    'proof/%00',
    'consistency/02/3',
    'consistency/3/2',
    'consistency/600/599',
    'consistency/a/3',
    'consistency/1/9007199254740992',
  ])('takes one spelling of an address: not %s', async (path) => {
    expect(await statusOf(encodeURI(`/log/${path}`).replaceAll('%25', '%'))).toBe('400 log.malformed');
  });

  it.each([
    'tile/%65ntries/000',
    'tile/entries%2F000',
    'tile//entries/000',
    'tile/./entries/000',
    'tile/0/../entries/000',
    'tile/0%2F..%2Fentries/000',
    'tile/ENTRIES/000',
  ])('hands out no entries by another name: %s', async (path) => {
    const { status } = await fetch(`${api.address}/log/${path}`);
    expect([400, 401, 404]).toContain(status);
    expect(await statusOf(`/log/${path}`)).toMatch(/^40[04] /);
  });

  it('gives entries to auditors alone', async () => {
    for (const path of ['/log/tile/entries/000', '/log/tile/entries/002.p/88', '/log/tile/entries/900']) {
      expect((await api.request.get(path)).body).toMatchObject({ status: 401, code: 'access.unauthenticated' });
      for (const who of ['prescriber', 'pharmacist', 'patient', 'admin'])
        expect((await api.as(who).get(path)).body).toMatchObject({ status: 403, code: 'access.forbidden' });
    }
  });

  it('lists what was published', async () => {
    const { body } = await api.request.get('/log/checkpoints').expect(200);
    expect(body).toEqual({
      items: [{ size: SIZE, publishedAt: expect.any(String), checkpoint: await text('checkpoint'), witnessed: false }],
      next: null,
    });
    expect((await api.request.get(`/log/checkpoints?after=${SIZE}`)).body).toEqual({ items: [], next: null });
    for (const query of ['limit=0', 'limit=201', 'after=-1', 'after=1e300', 'before=1', 'limit=1&limit=2'])
      expect((await api.request.get(`/log/checkpoints?${query}`)).body).toMatchObject({ code: 'request.invalid' });
  });
});

describe('the document of the API', () => {
  it('has the routes of the log, with what they answer', async () => {
    interface Operation {
      'x-action': string;
      responses: Record<string, { content: Record<string, object> }>;
    }
    const { body } = await api.request.get('/api/openapi.json').expect(200);
    const { paths } = body as { paths: Record<string, { get: Operation }> };
    const routes = Object.entries(paths).filter(([path]) => path.startsWith('/log/'));
    expect(
      routes.map(([path, { get }]) => [path, get['x-action'], ...Object.keys(get.responses['200']!.content)]),
    ).toEqual([
      ['/log/checkpoint', 'public', 'text/plain; charset=utf-8'],
      ['/log/checkpoints', 'public', 'application/json'],
      ['/log/chain', 'public', 'application/json'],
      ['/log/rotations', 'public', 'application/json'],
      ['/log/continued', 'public', 'application/json'],
      ['/log/tile/entries/{path}', 'ledger.read', 'application/octet-stream'],
      ['/log/tile/{path}', 'public', 'application/octet-stream'],
      ['/log/proof/{index}', 'public', 'text/plain; charset=utf-8'],
      ['/log/consistency/{old}/{new}', 'public', 'text/plain; charset=utf-8'],
    ]);
  });
});

describe('proofs', () => {
  it('show every published entry', async () => {
    const entries = [0, 1, 2].flatMap((n) => decodeBundle(files.get(`tile/entries/00${n}${n === 2 ? '.p/88' : ''}`)!));
    for (const index of [0, 1, 2, 254, 255, 256, 257, 511, 512, 513, 598, 599]) {
      const { index: named, proof, checkpoint } = parseTlogProof(await text(`proof/${index}`));
      const { size, root } = openCheckpoint(checkpoint, api.vkey);
      expect({ named, size }).toEqual({ named: index, size: SIZE });
      const leaf = nodeHasher.leaf(entries[index]!);
      expect(verifyInclusion(nodeHasher, { index, size, leaf, proof, root })).toEqual({ ok: true });
    }
  });

  it('show that any published tree continues any smaller one', async () => {
    const client = await LogClient.open(nodeHasher, stored, openCheckpoint(await text('checkpoint'), api.vkey));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: SIZE }), fc.integer({ min: 1, max: SIZE }), async (a, b) => {
        const [size1, size2] = [Math.min(a, b), Math.max(a, b)];
        const [root1, root2] = [await client.rootAt(size1), await client.rootAt(size2)];
        const proof = parseHashes(await text(`consistency/${size1}/${size2}`));
        expect(verifyConsistency(nodeHasher, { size1, size2, root1, root2, proof })).toEqual({ ok: true });
      }),
      { numRuns: examples(40) },
    );
    for (const sizes of ['0/0', '0/600', '600/600', '3/3']) expect(await text(`consistency/${sizes}`)).toBe('');
  });
});

/** The same bytes but for one bit. */
function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
}
const refusals = [LogFileError, NoteError, CheckpointError, EncodingError, TlogProofError];
const isRefusal = (error: unknown): boolean => refusals.some((kind) => error instanceof kind);

/** Whether the log is refused with that bit of that file flipped. */
async function refuses(path: string, bit: number): Promise<boolean> {
  const changed = flip(files.get(path)!, bit);
  const error = await follow(async (wanted) => (wanted === path ? changed : stored(wanted))).then(
    () => null,
    (refusal: unknown) => refusal,
  );
  return isRefusal(error);
}

/** The short form flips one bit in each byte, and in some bytes two: now this one, now that. */
const EACH = rounds(7, 1);

describe('our own verifier refuses a flipped bit', () => {
  it('in any tile and any bundle', async () => {
    await follow(stored);
    for (const [path, file] of files) {
      if (path === 'checkpoint') continue;
      const bits = fc.nat(8 * file.length - 1);
      await fc.assert(
        fc.asyncProperty(bits, async (bit) => {
          expect([path, bit, await refuses(path, bit)]).toEqual([path, bit, true]);
        }),
        { numRuns: examples(20) },
      );
    }
  });

  it('in any line of the checkpoint', async () => {
    for (let bit = 0; bit < 8 * files.get('checkpoint')!.length; bit += EACH)
      expect([bit, await refuses('checkpoint', bit)]).toEqual([bit, true]);
  });

  it('in any inclusion proof', async () => {
    const entries = decodeBundle(files.get('tile/entries/001')!);
    const bytes = (await filesOf(api.address)('proof/300'))!;
    const holds = (proof: Uint8Array): boolean => {
      const { index, proof: hashes, checkpoint } = parseTlogProof(fromUtf8(proof));
      const { size, root } = openCheckpoint(checkpoint, api.vkey);
      const leaf = nodeHasher.leaf(entries[300 - 256]!);
      return verifyInclusion(nodeHasher, { index, size, leaf, proof: hashes, root }).ok;
    };
    expect(holds(bytes)).toBe(true);
    for (let bit = 0; bit < 8 * bytes.length; bit += EACH) {
      let held: boolean;
      try {
        held = holds(flip(bytes, bit));
      } catch (error) {
        held = !isRefusal(error);
      }
      expect([bit, held]).toEqual([bit, false]);
    }
  });

  it('in any consistency proof', async () => {
    const client = await LogClient.open(nodeHasher, stored, openCheckpoint(await text('checkpoint'), api.vkey));
    const [root1, root2] = [await client.rootAt(300), await client.rootAt(SIZE)];
    const bytes = (await filesOf(api.address)(`consistency/300/${SIZE}`))!;
    const holds = (proof: Uint8Array): boolean =>
      verifyConsistency(nodeHasher, { size1: 300, size2: SIZE, root1, root2, proof: parseHashes(fromUtf8(proof)) }).ok;
    expect(holds(bytes)).toBe(true);
    for (let bit = 0; bit < 8 * bytes.length; bit += EACH) {
      let held: boolean;
      try {
        held = holds(flip(bytes, bit));
      } catch (error) {
        held = !isRefusal(error);
      }
      expect([bit, held]).toEqual([bit, false]);
    }
  });
});
