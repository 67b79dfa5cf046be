import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { equal } from '../../src/ledger/core/bytes.js';
import { parseCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { openNote, parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { checkpointFile } from '../../src/audit/witness/folder.js';
import { startNode, type TestProcess } from '../support/process.js';
import { until } from '../support/wait.js';
import { TestLog } from './witness-support.js';

let dir = '';
let running: TestProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rxledger-witness-'));
});
afterEach(async () => {
  await Promise.all(running.map((process) => process.kill()));
  running = [];
  await rm(dir, { recursive: true });
});

function witness(...args: string[]): TestProcess {
  const process = startNode('bin/rxledger.js', ['witness', 'run', '--dir', join(dir, 'w'), ...args]);
  running.push(process);
  return process;
}

/** A witness that listens on a free port. */
async function serving(...args: string[]) {
  const process = witness('--port', '0', '--json', ...args);
  const [line] = await process.line(/^\{"address".*$/);
  return { process, ...(JSON.parse(line) as { address: string; vkey: string; logs: string[] }) };
}

/** @returns null when the witness is gone before its answer is whole */
async function post(address: string, body: string): Promise<{ status: number; body: string } | null> {
  try {
    const answer = await fetch(`${address}/add-checkpoint`, { method: 'POST', body });
    return { status: answer.status, body: await answer.text() };
  } catch {
    return null;
  }
}

const entries = (count: number) => Array.from({ length: count }, (_, at) => `entry ${at}`);

describe('rxledger witness run', () => {
  it('makes its key, says where it listens, cosigns for several logs, and ends at a signal with 0', async () => {
    const [a, b] = [new TestLog('log.example/a').append('x'), new TestLog('log.example/b', 2).append('y')];
    const c = new TestLog('log.example/key', 3);
    const list = join(dir, 'logs.txt');
    await writeFile(list, `logs/v0\n\nvkey ${c.vkey}\norigin log c\nqpd 24\ncontact c\n`);
    const args = ['--name', 'w.example', '--log', a.vkey, '--log', b.vkey, '--logs', list];
    const { process, address, vkey, logs } = await serving(...args);
    expect(logs).toEqual([a.origin, b.origin, 'log c']);
    expect(vkey).toMatch(/^w\.example\+[0-9a-f]{8}\+B/);
    expect((await stat(join(dir, 'w', 'witness.key'))).mode & 0o777).toBe(0o600);
    const renamed = c.sign(`log c\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`);
    const asked = [
      [await a.request(0), await a.checkpoint()],
      [await b.request(0), await b.checkpoint()],
      [`old 0\n\n${renamed}`, renamed],
    ] as const;
    for (const [body, note] of asked) {
      const before = Math.floor(Date.now() / 1000);
      const answer = await post(address, body);
      const { verified } = openNote(note + answer!.body, [parseVerifierKey(vkey)]);
      expect(Number(verified[0]!.time)).toBeGreaterThanOrEqual(before);
      expect(Number(verified[0]!.time)).toBeLessThanOrEqual(Date.now() / 1000);
    }
    expect((await fetch(`${address}/health`)).status).toBe(200);
    expect(await process.terminate()).toBe(0);
    expect(process.stderr()).toContain('shutting down');
    // With --json standard output holds that document alone.
    expect(process.stdout().trim().split('\n')).toHaveLength(1);
  });

  it('prints its key, beside a running witness too, and keeps it', async () => {
    const first = witness('--name', 'w.example', '--print-vkey');
    expect((await first.ended).code).toBe(0);
    const vkey = first.stdout().trim();
    const log = new TestLog('log.example/a');
    expect((await serving('--log', log.vkey)).vkey).toBe(vkey);
    const again = witness('--print-vkey', '--json');
    expect((await again.ended).code).toBe(0);
    expect(JSON.parse(again.stdout())).toEqual({ witness: 'w.example', vkey });
  });

  it('refuses a folder that another process has, until that one is gone', async () => {
    const log = new TestLog('log.example/a').append('x', 'y');
    const args = ['--name', 'w.example', '--log', log.vkey];
    const first = await serving(...args);
    const second = witness('--port', '0', ...args);
    expect((await second.ended).code).toBe(3);
    expect(second.stderr()).toMatch(/^rxledger: .*another process runs on this folder/);
    expect(second.stderr().trim().split('\n')).toHaveLength(1);
    expect((await post(first.address, await log.request(0, 1)))?.status).toBe(200);
    await first.process.kill();
    const third = await serving(...args);
    expect(third.vkey).toBe(first.vkey);
    expect((await post(third.address, await log.request(1, 2)))?.status).toBe(200);
  });

  it.each([
    ['no log', ['--name', 'w.example'], 2, /no log to witness/],
    ['no name the first time', ['--log', new TestLog('log.example/a').vkey], 3, /needs a name/],
    ['a name that names no key', ['--name', 'two words', '--print-vkey'], 2, /name/],
    ['a key that is none', ['--name', 'w.example', '--log', 'x'], 2, /not a verifier key/],
    ['a list that is not there', ['--name', 'w.example', '--logs', '/nowhere'], 3, /there is no \/nowhere/],
    ['a port that is none', ['--name', 'w.example', '--port', '65536'], 2, /port/],
  ])('says %s in one line', async (_, args, code, words) => {
    const process = witness(...args);
    expect((await process.ended).code).toBe(code);
    expect(process.stdout()).toBe('');
    expect(process.stderr()).toMatch(words);
    expect(process.stderr()).not.toMatch(/^\s+at /m);
  });

  it('ends though a client keeps its connection, when that client has its answer', async () => {
    const log = new TestLog('log.example/a').append('x');
    const { process, address } = await serving('--name', 'w.example', '--log', log.vkey);
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    let heard = '';
    socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
    const body = await log.request(0);
    socket.write(
      `POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    await until(() => heard.includes('— w.example'), { what: 'the cosignature' });
    expect(await process.terminate()).toBe(0);
    socket.destroy();
  });

  it('after kill -9 under load is never behind what it answered, and never forgets a root', async () => {
    const SIZE = 160;
    const logs = [1, 2].map((seed) => new TestLog(`log.example/${seed}`, seed).append(...entries(SIZE)));
    const args = ['--name', 'w.example', ...logs.flatMap(({ vkey }) => ['--log', vkey])];
    /** Largest size that was answered with a cosignature. */
    const answered = logs.map(() => 0);
    for (const end of [12, 30, 55]) {
      const { process, address, vkey } = await serving(...args);
      const feed = async (log: TestLog, at: number) => {
        // Where the witness stands is asked, as by a log that has lost an answer.
        const told = (await post(address, await log.request(1, 1)))!;
        const from = told.status === 409 ? Number(told.body) : 1;
        expect(from).toBeGreaterThanOrEqual(answered[at]!);
        for (let to = from + 1; to <= SIZE; to++) {
          const answer = await post(address, await log.request(to - 1, to));
          if (!answer) return;
          expect(answer.status).toBe(200);
          openNote((await log.checkpoint(to)) + answer.body, [parseVerifierKey(vkey)]);
          answered[at] = to;
          if (to >= end) void process.kill();
        }
      };
      await Promise.all(logs.map(feed));
      await process.ended;
      for (const [at, log] of logs.entries()) {
        const { size, root } = await stored(log.origin);
        expect(size).toBeGreaterThanOrEqual(answered[at]!);
        expect(size).toBeLessThanOrEqual(answered[at]! + 1);
        expect(equal(root, await log.root(size))).toBe(true);
      }
    }
    const { address } = await serving(...args);
    for (const [at, log] of logs.entries()) {
      const size = answered[at]!;
      const told = await post(address, await log.request(0));
      expect(told?.status).toBe(409);
      expect(Number(told?.body)).toBeGreaterThanOrEqual(size);
      const fork = log.fork(Number(told?.body) - 1, 'forked', 'twice');
      expect((await post(address, await fork.request(Number(told?.body))))?.status).toBe(422);
    }
  });
});

/** The checkpoint on the disk, its cosignature verified. */
async function stored(origin: string) {
  const vkey = (await readFile(join(dir, 'w', 'vkey'), 'utf8')).trim();
  const note = await readFile(join(dir, 'w', checkpointFile(origin)), 'utf8');
  return parseCheckpoint(openNote(note, [parseVerifierKey(vkey)]).text);
}
