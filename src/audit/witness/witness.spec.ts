import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { flipped, requestOf, TestLog } from '../../../test/int/witness-support.js';
import { SettableClock } from '../../time/clock.js';
import { equal, utf8 } from '../../ledger/core/bytes.js';
import { parseCheckpoint } from '../../ledger/core/tlog/checkpoint.js';
import { openNote } from '../../ledger/core/tlog/note.js';
import { checkpointFile, WitnessFolder, WitnessFolderError } from './folder.js';
import { trustedLogs } from './logs.js';
import { type Answer, openWitnessKey, Witness } from './witness.js';
import { examples } from '../../../test/support/length.js';

const NOW = 1_700_000_000;
const logger = pino({ level: 'silent' });
const entries = (count: number, from = 'entry') => Array.from({ length: count }, (_, at) => `${from} ${at}`);

let dir = '';
let folder: WitnessFolder;
let clock: SettableClock;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rxledger-witness-'));
  folder = new WitnessFolder(join(dir, 'w'));
  clock = new SettableClock(NOW * 1000);
  await folder.take();
});
afterEach(async () => {
  await folder.release();
  await rm(dir, { recursive: true });
});

async function witnessOf(...logs: TestLog[]): Promise<Witness> {
  const key = await openWitnessKey(folder, 'w.example');
  return Witness.open(folder, key, trustedLogs(logs.map(({ vkey }) => ({ vkey }))), clock, logger);
}

const add = async (witness: Witness, body: string) => witness.addCheckpoint(utf8(body));

/** The cosignature of the answer, verified against the submitted checkpoint. */
async function cosignedBy(answer: Answer, note: string) {
  if (answer.status !== 200) throw new Error(`not cosigned: ${JSON.stringify(answer)}`);
  const { verifier } = await openWitnessKey(folder);
  const opened = openNote(note + answer.cosignature, [verifier]);
  return { ...parseCheckpoint(opened.text), time: Number(opened.verified[0]!.time) };
}

async function stored(origin: string) {
  const note = await readFile(join(folder.path, checkpointFile(origin)), 'utf8');
  return { note, ...parseCheckpoint(openNote(note, [(await openWitnessKey(folder)).verifier]).text) };
}

describe('a witness', () => {
  it('cosigns what it has stored, and goes on from there after a start', async () => {
    const log = new TestLog('log.example/a').append(...entries(9));
    const first = await witnessOf(log);
    const answer = await add(first, await log.request(0, 4));
    expect(await cosignedBy(answer, await log.checkpoint(4))).toMatchObject({ size: 4, time: NOW });
    const { note, size } = await stored(log.origin);
    expect(size).toBe(4);
    expect(answer).toEqual({ status: 200, cosignature: note.slice((await log.checkpoint(4)).length) });

    const second = await witnessOf(log);
    expect(await add(second, await log.request(0))).toEqual({ status: 409, size: 4 });
    expect((await add(second, await log.request(4, 9))).status).toBe(200);
    expect((await stored(log.origin)).size).toBe(9);
  });

  it('gives a fresh time for the same checkpoint, and the stored answer within a second', async () => {
    const log = new TestLog('log.example/a').append('x');
    const witness = await witnessOf(log);
    const first = await add(witness, await log.request(0));
    const write = vi.spyOn(folder, 'write');
    expect(await add(witness, await log.request(1))).toEqual(first);
    expect(write).not.toHaveBeenCalled();
    clock.advance(1000);
    const later = await add(witness, await log.request(1));
    expect((await cosignedBy(later, await log.checkpoint())).time).toBe(NOW + 1);
    expect(write).toHaveBeenCalledOnce();
  });

  it('never signs a time before the last one', async () => {
    const log = new TestLog('log.example/a').append(...entries(3));
    const witness = await witnessOf(log);
    await add(witness, await log.request(0, 1));
    clock.advance(-60_000);
    const answer = await add(witness, await log.request(1, 2));
    expect((await cosignedBy(answer, await log.checkpoint(2))).time).toBe(NOW);
    clock.advance(-3_600_000);
    expect(await add(await witnessOf(log), await log.request(2, 3))).toMatchObject({ status: 503 });
    expect((await stored(log.origin)).size).toBe(2);
  });

  it('decides requests for one log one after the other: of two from the same size one wins', async () => {
    const log = new TestLog('log.example/a').append(...entries(40));
    const witness = await witnessOf(log);
    await add(witness, await log.request(0, 5));
    const bodies = await Promise.all([20, 8, 9, 40].map((size) => log.request(5, size)));
    const answers = await Promise.all(bodies.map((body) => add(witness, body)));
    expect(answers.map(({ status }) => status)).toEqual([200, 409, 409, 409]);
    expect(answers.slice(1)).toEqual(Array.from({ length: 3 }, () => ({ status: 409, size: 20 })));
    expect((await stored(log.origin)).size).toBe(20);
  });

  it('keeps each log apart', async () => {
    const a = new TestLog('log.example/a').append(...entries(3));
    const b = new TestLog('log.example/b', 2).append(...entries(5, 'other'));
    const witness = await witnessOf(a, b);
    const bodies = await Promise.all([a.request(0, 3), b.request(0, 5)]);
    expect((await Promise.all(bodies.map((body) => add(witness, body)))).map(({ status }) => status)).toEqual([
      200, 200,
    ]);
    expect([(await stored(a.origin)).size, (await stored(b.origin)).size]).toEqual([3, 5]);
    expect(await add(witness, await a.request(0))).toEqual({ status: 409, size: 3 });
  });

  it('keeps no signature lines but those of the log and its own, whatever a client adds', async () => {
    const log = new TestLog('log.example/a').append(...entries(2));
    const witness = await witnessOf(log);
    const first = await add(witness, await log.request(0, 1));
    if (first.status !== 200) throw new Error('not cosigned');
    const forged = first.cosignature.replace(/.{6}\n$/u, 'AAAA==\n');
    const note = (await log.checkpoint(2)) + forged + first.cosignature;
    expect(await add(witness, requestOf(1, await log.proof(1, 2), note))).toMatchObject({ status: 200 });
    expect((await stored(log.origin)).note.split('\n')).toHaveLength(7);
    await expect(witnessOf(log)).resolves.toBeDefined();
  });

  it('does not answer with a cosignature that it could not store, and goes on when it can', async () => {
    const log = new TestLog('log.example/a').append(...entries(9));
    const witness = await witnessOf(log);
    await add(witness, await log.request(0, 4));
    const write = vi.spyOn(folder, 'write').mockRejectedValueOnce(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    expect(await add(witness, await log.request(4, 6))).toMatchObject({ status: 503 });
    expect((await stored(log.origin)).size).toBe(4);
    write.mockRestore();
    expect(await add(witness, await log.request(4, 7))).toMatchObject({ status: 200 });
  });

  it('lets no more wait for the disk than it can hold', async () => {
    const log = new TestLog('log.example/a').append('x');
    const witness = await witnessOf(log);
    const body = await log.request(0);
    const answers = await Promise.all(Array.from({ length: 300 }, () => add(witness, body)));
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    expect([count(200), count(409), count(503)]).toEqual([1, 255, 44]);
    expect(await add(witness, await log.request(1))).toMatchObject({ status: 200 });
  });

  it('keeps two signed checkpoints that prove a fork, the first such pair', async () => {
    const log = new TestLog('log.example/a').append(...entries(4));
    const witness = await witnessOf(log);
    await add(witness, await log.request(0, 4));
    const fork = log.fork(3, 'forked');
    const full = vi.spyOn(folder, 'write').mockRejectedValueOnce(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    expect(await add(witness, await log.fork(1, 'a', 'b', 'c').request(4))).toMatchObject({ status: 422 });
    full.mockRestore();
    expect(await add(witness, await fork.request(4))).toMatchObject({ status: 422 });
    expect(await add(witness, await log.fork(2, 'and', 'again').request(4))).toMatchObject({ status: 422 });
    const kept = await readFile(join(folder.path, `${checkpointFile(log.origin)}.fork`), 'utf8');
    expect(kept).toBe(`${(await stored(log.origin)).note}\n${await fork.checkpoint()}`);
    expect((await stored(log.origin)).size).toBe(4);
  });
});

describe('the folder of a witness', () => {
  it('is of one process at a time', async () => {
    const second = new WitnessFolder(folder.path);
    await expect(second.take()).rejects.toThrow(/another process/);
    await folder.release();
    await second.take();
    await expect(folder.take()).rejects.toThrow(WitnessFolderError);
    await second.release();
  });

  it('shows when a cosigned checkpoint is missing, also in a folder that is older than this check', async () => {
    const [a, b, c] = [1, 2, 3].map((n) => new TestLog(`log.example/${n}`, n).append('x')) as [
      TestLog,
      TestLog,
      TestLog,
    ];
    const witness = await witnessOf(a, b, c);
    await Promise.all([add(witness, await a.request(0)), add(witness, await b.request(0))]);
    await rm(join(folder.path, checkpointFile(a.origin)));
    await expect(witnessOf(a, b, c)).rejects.toThrow(/cosigned last for log\.example\/1, is gone/);
    await expect(witnessOf(b, c)).resolves.toBeDefined();

    await rm(join(folder.path, 'cosigned'));
    await witnessOf(b, c);
    await rm(join(folder.path, checkpointFile(b.origin)));
    await expect(witnessOf(b, c)).rejects.toThrow(WitnessFolderError);
    // A log that was never cosigned misses no checkpoint.
    await expect(witnessOf(c)).resolves.toBeDefined();
  });

  it('keeps key and checkpoints from others', async () => {
    const log = new TestLog('log.example/a').append('x');
    await add(await witnessOf(log), await log.request(0));
    const files = ['vkey', 'witness.key', checkpointFile(log.origin)];
    for (const file of files) expect((await stat(join(folder.path, file))).mode & 0o077).toBe(0);
    expect((await stat(folder.path)).mode & 0o077).toBe(0);
    expect(await readdir(join(folder.path, 'checkpoints'))).toHaveLength(1);
  });

  it('makes a key once, under one name', async () => {
    await expect(openWitnessKey(folder)).rejects.toThrow('needs a name');
    const { vkey } = await openWitnessKey(folder, 'w.example');
    expect(vkey).toMatch(/^w\.example\+[0-9a-f]{8}\+B[A-Za-z0-9+/]{43}$/);
    expect((await openWitnessKey(folder)).vkey).toBe(vkey);
    await expect(openWitnessKey(folder, 'other.example')).rejects.toThrow('another name needs another folder');
    await rm(join(folder.path, 'witness.key'));
    await expect(openWitnessKey(folder)).rejects.toThrow('witness.key is not the key');
    await writeFile(join(folder.path, 'witness.key'), new Uint8Array(32), { mode: 0o600 });
    await expect(openWitnessKey(folder)).rejects.toThrow('witness.key is not the key');
    await writeFile(join(folder.path, 'vkey'), 'w.example');
    await expect(openWitnessKey(folder)).rejects.toThrow('vkey is damaged');
  });

  it('with a checkpoint that the witness did not cosign is refused', async () => {
    const log = new TestLog('log.example/a').append(...entries(2));
    const b = new TestLog('log.example/b', 2).append('x');
    const witness = await witnessOf(log, b);
    await add(witness, await log.request(0));
    await add(witness, await b.request(0));
    const file = join(folder.path, checkpointFile(log.origin));
    const good = await readFile(file, 'utf8');
    const wrong = ['', good.slice(0, -5), good.replace('\n2\n', '\n1\n'), await log.checkpoint()];
    for (const text of [...wrong, (await stored(b.origin)).note]) {
      await writeFile(file, text);
      await expect(witnessOf(log, b)).rejects.toThrow(WitnessFolderError);
    }
    await writeFile(file, good);
    await expect(witnessOf(log, b)).resolves.toBeDefined();
  });

  it('with the draft of a write that a crash cut off is as good as before it', async () => {
    const log = new TestLog('log.example/a').append(...entries(2));
    await add(await witnessOf(log), await log.request(0, 1));
    await writeFile(join(folder.path, `${checkpointFile(log.origin)}.draft`), 'log.exam');
    expect(await add(await witnessOf(log), await log.request(1, 2))).toMatchObject({ status: 200 });
  });
});

describe('a log that lies', () => {
  /** Three histories of one log: from `parts` on each has leaves of its own. */
  const SIZE = 12;
  const history = (parts: number, name: string) =>
    new TestLog('log.example/a').append(...entries(parts), ...entries(SIZE - parts, name));

  const submission = fc.record({
    history: fc.nat(2),
    to: fc.nat(SIZE),
    /** Whether it claims the size that the witness last told, or any size. */
    from: fc.option(fc.nat(SIZE), { nil: 'told' as const, freq: 4 }),
    proof: fc.constantFrom('honest', 'honest', 'honest', 'flipped', 'none', 'of another history'),
    restart: fc.boolean(),
    seconds: fc.integer({ min: -2, max: 3 }),
  });

  it('never gets two inconsistent checkpoints cosigned, in whatever order it submits them', async () => {
    const numRuns = examples(120);
    let accepted = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(fc.nat(SIZE), fc.nat(SIZE)),
        fc.array(submission, { minLength: 1, maxLength: 12 }),
        async ([first, second], submissions) => {
          const histories = [history(SIZE, 'a'), history(first, 'b'), history(second, 'c')];
          for (const file of ['cosigned', checkpointFile('log.example/a')])
            await rm(join(folder.path, file), { force: true });
          clock.set(NOW * 1000);
          let witness = await witnessOf(histories[0]!);
          const cosigned: { size: number; root: Uint8Array; time: number }[] = [];
          let told = 0;
          for (const { history: at, to, from, proof, restart, seconds } of submissions) {
            clock.advance(seconds * 1000);
            if (restart) witness = await witnessOf(histories[0]!);
            const log = histories[at]!;
            const oldSize = from === 'told' ? told : from;
            const hashes = await (proof === 'of another history' ? histories[(at + 1) % 3]! : log).proof(oldSize, to);
            const sent = proof === 'none' ? [] : proof === 'flipped' ? hashes.map(flipped) : hashes;
            const note = await log.checkpoint(to);
            const answer = await add(witness, requestOf(oldSize, sent, note));
            if (answer.status === 409) told = answer.size;
            if (answer.status !== 200) {
              refused++;
              continue;
            }
            accepted++;
            told = to;
            cosigned.push(await cosignedBy(answer, note));
            expect((await stored('log.example/a')).root).toEqual(await log.root(to));
          }
          // The cosigned trees belong to one history and only grow.
          for (const [index, { size, time }] of cosigned.entries()) {
            expect(size).toBeGreaterThanOrEqual(cosigned[index - 1]?.size ?? 0);
            expect(time).toBeGreaterThanOrEqual(cosigned[index - 1]?.time ?? 0);
          }
          const roots = await Promise.all(
            histories.map((log) =>
              Promise.all(cosigned.map(async ({ size, root }) => equal(root, await log.root(size)))),
            ),
          );
          expect(roots.some((fits) => fits.every(Boolean))).toBe(true);
        },
      ),
      { numRuns },
    );
    // Otherwise the property would hold for a witness that refuses everything, or is never asked.
    expect(accepted).toBeGreaterThan(numRuns / 4);
    expect(refused).toBeGreaterThan(numRuns / 4);
  });
});
