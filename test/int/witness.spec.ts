import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettableClock } from '../../src/time/clock.js';
import { fromHex } from '../../src/ledger/core/bytes.js';
import { parseCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { formatVerifierKey, KEY_TYPE, openNote } from '../../src/ledger/core/tlog/note.js';
import { checkpointFile, WitnessFolder } from '../../src/audit/witness/folder.js';
import { type LogEntry, trustedLogs } from '../../src/audit/witness/logs.js';
import { createWitnessServer } from '../../src/audit/witness/server.js';
import { openWitnessKey, Witness } from '../../src/audit/witness/witness.js';
import { TestLog } from './witness-support.js';

const NOW = 1_700_000_000;
let dir = '';
let folder: WitnessFolder;
let server: FastifyInstance;
let address = '';
let said: string[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rxledger-witness-'));
  folder = new WitnessFolder(dir);
  said = [];
  await folder.take();
});
afterEach(async () => {
  await server.close();
  await folder.release();
  await rm(dir, { recursive: true });
});

/** Starts the witness; with a seed, under that key. */
async function start(name: string, logs: readonly LogEntry[], seed?: Uint8Array) {
  if (seed) await writeFile(join(dir, 'witness.key'), seed, { mode: 0o600 });
  const logger = pino({}, { write: (line: string) => void said.push(line) });
  const key = await openWitnessKey(folder, name);
  const witness = await Witness.open(folder, key, trustedLogs(logs), new SettableClock(NOW * 1000), logger);
  server = createWitnessServer(witness, logger);
  address = await server.listen({ host: '127.0.0.1', port: 0 });
  return key;
}

async function post(body: string | Uint8Array, headers: Record<string, string> = {}) {
  const answer = await fetch(`${address}/add-checkpoint`, { method: 'POST', body, headers });
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() };
}

const vectors = resolve('../shared/vectors/litewitness');
const recorded = existsSync(vectors);
if (!recorded) console.warn(`skipped: the recorded exchanges, since ${vectors} is not there`);

/** One request of a recording (hurl), with what the witness of that time answered. */
interface Exchange {
  readonly body: string;
  readonly status: number;
  readonly assertion: 'contains' | '==';
  readonly value: string;
}

/** A recording: a script, then files, each below a line `-- name --` (txtar). */
function readRecording(file: string) {
  const [script = '', ...parts] = readFileSync(join(vectors, file), 'utf8').split(/^-- (.+) --\n/m);
  const files = Object.fromEntries(parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1]!]] : [])));
  const exchanges = [
    ...files['add-checkpoint.hurl']!.matchAll(
      /^POST \S+\n```\n(.*?)```\nHTTP (\d+)\n\[Asserts\]\nbody (contains|==) ("[^\n]*")$/gms,
    ),
  ].map(([, body, status, assertion, value]): Exchange => ({
    body: body!,
    status: Number(status),
    assertion: assertion as Exchange['assertion'],
    value: JSON.parse(value!) as string,
  }));
  return { script, exchanges, seed: seedOf(files['witness_key.pem']!) };
}

/** The Ed25519 seed of an unencrypted OpenSSH key: the private part is seed || public key, after a length of 64. */
function seedOf(pem: string): Uint8Array {
  const bytes = Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64');
  const at = bytes.lastIndexOf(Buffer.from([0, 0, 0, 64]));
  return bytes.subarray(at + 4, at + 36);
}

/** Name and key of the witness, as the recording starts it. */
const NAME = 'example.com/witness';

async function replay(exchanges: readonly Exchange[], key: Awaited<ReturnType<typeof start>>) {
  const statuses: number[] = [];
  for (const { body, status, assertion, value } of exchanges) {
    const answer = await post(body);
    // The recording is older than today's C2SP tlog-witness, which asks for 404 where the origin is unknown.
    expect(answer.status).toBe(value === 'unknown log' ? 404 : status);
    if (assertion === '==') expect(answer.body).toBe(value);
    else expect(answer.body).toContain(value);
    if (status === 409) expect(answer.type).toBe('text/x.tlog.size');
    if (status === 200) {
      const note = body.slice(body.indexOf('\n\n') + 2);
      // The recording holds no signatures of the witness. What they must be is fixed by key, time and text.
      expect(openNote(note + answer.body, [key.verifier]).verified).toEqual([{ key: key.verifier, time: BigInt(NOW) }]);
      expect(note + answer.body).toBe(key.cosign(note, NOW));
    }
    statuses.push(answer.status);
  }
  return statuses;
}

async function storedSize(origin: string): Promise<number> {
  const note = (await folder.read(checkpointFile(origin)))!;
  return parseCheckpoint(note.slice(0, note.indexOf('\n\n') + 1)).size;
}

/** A POST without content-type, which fetch would add. */
function untyped(body: string): Promise<number | undefined> {
  return new Promise((tell, fail) => {
    const sent = request(`${address}/add-checkpoint`, { method: 'POST' }, (answer) => {
      answer.resume();
      tell(answer.statusCode);
    });
    sent.once('error', fail).end(body);
  });
}

describe.skipIf(!recorded)('the recorded exchanges of litewitness', () => {
  it('of a Sigsum log', async () => {
    const { script, exchanges, seed } = readRecording('litewitness.txt');
    const publicKey = fromHex(/add-sigsum-log -key=([0-9a-f]{64})/.exec(script)![1]!);
    const origin = /^stdout (sigsum\.org\/\S+)$/m.exec(script)![1]!;
    const key = await start(NAME, [{ vkey: formatVerifierKey(origin, KEY_TYPE.ed25519, publicKey) }], seed);
    expect(exchanges).toHaveLength(9);
    expect(await replay(exchanges, key)).toEqual([200, 403, 404, 422, 422, 200, 409, 200, 409]);
    const size = Number(/"size":(\d+)/.exec(script)![1]);
    expect(await storedSize(origin)).toBe(size);
  });

  it('of the Go checksum database, whose origin is not the name of its key', async () => {
    const { script, exchanges, seed } = readRecording('sumdb.txt');
    const [, origin = '', vkey = ''] = /add-key -origin '([^']+)' -key (\S+)/.exec(script)!;
    const key = await start(NAME, [{ vkey, origin }], seed);
    expect(exchanges).toHaveLength(1);
    expect(await replay(exchanges, key)).toEqual([200]);
    expect(await storedSize(origin)).toBe(Number(/"size":(\d+)/.exec(script)![1]));
  });
});

describe('the HTTP side of a witness', () => {
  const log = new TestLog('log.example/a').append('x', 'y', 'z');

  it.each([
    ['cosigned', () => log.request(0, 2), 200, 'text/plain; charset=utf-8', /^— w\.example \S+\n$/u],
    ['stale', () => log.request(1, 2), 409, 'text/x.tlog.size', /^0\n$/],
    ['malformed', () => Promise.resolve('old'), 400, 'text/plain; charset=utf-8', /^malformed/],
    ['empty', () => Promise.resolve(''), 400, 'text/plain; charset=utf-8', /^malformed/],
    ['too large', () => Promise.resolve('x'.repeat(65_537)), 413, 'text/plain; charset=utf-8', /^request is too large/],
  ])('%s', async (_, body, status, type, text) => {
    await start('w.example', [{ vkey: log.vkey }]);
    expect(await post(await body())).toEqual({ status, type, body: expect.stringMatching(text) });
  });

  it('takes the body whatever it is called', async () => {
    await start('w.example', [{ vkey: log.vkey }]);
    const body = await log.request(0, 2);
    for (const type of ['application/json', 'text/plain', 'multipart/form-data', 'application/octet-stream']) {
      expect(await post(body, { 'content-type': type })).toMatchObject({
        status: type === 'application/json' ? 200 : 409,
      });
    }
    expect(await untyped(body)).toBe(409);
  });

  it.each([
    ['GET', '/add-checkpoint', 405],
    ['PUT', '/add-checkpoint', 405],
    ['GET', '/', 404],
    ['POST', '/add-checkpoint/', 404],
    ['POST', '/', 404],
    ['GET', '/%', 400],
    ['GET', '/health', 200],
  ])('%s %s is %d, in plain text that repeats nothing', async (method, path, status) => {
    await start('w.example', [{ vkey: log.vkey }]);
    const answer = await fetch(address + path, { method });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect((await answer.text()).length).toBeLessThan(40);
  });

  it('hangs up on what is not HTTP', async () => {
    await start('w.example', [{ vkey: log.vkey }]);
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    const answer = await new Promise<string>((tell) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (part: string) => (text += part));
      socket.once('close', () => tell(text));
      socket.write('nonsense\r\n\r\n');
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });

  it('logs what it did, and no body', async () => {
    await start('w.example', [{ vkey: log.vkey }]);
    await post(await log.request(0, 2));
    await post('old secret');
    const lines = said.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'cosigned', origin: log.origin, oldSize: 0, size: 2 }));
    const requests = lines.filter(({ msg }) => msg === 'request');
    expect(requests.map(({ status, route }) => [status, route])).toEqual([
      [200, '/add-checkpoint'],
      [400, '/add-checkpoint'],
    ]);
    expect(said.join('')).not.toContain('secret');
  });
});
