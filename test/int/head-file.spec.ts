import { randomBytes, randomUUID } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { HeadFile, readHeadFile } from '../../src/ledger/store/head-file.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import {
  count,
  counterModel,
  openFiles,
  openTestLedger,
  tellsOpenFiles,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { examples } from '../support/length.js';

const key = new LogKey('test.example/log', randomBytes(32));
const checkpoint = (size: number): string => key.checkpoint(size, Buffer.alloc(32, size % 256));

const folder = temporaryFolder();
const path = join(folder.path, 'head');
afterAll(() => folder.remove());
beforeEach(() => {
  rmSync(folder.path, { recursive: true, force: true });
  mkdirSync(folder.path);
});

const open = (compactBytes?: number) => HeadFile.open(path, { vkeys: [key.vkey] }, compactBytes);
const sizeOf = (note: string | null): number => (note === null ? 0 : openCheckpoint(note, key.vkey).size);
const remembered = async (): Promise<number> => sizeOf(await readHeadFile(path, [key.vkey]));

async function appended(...sizes: number[]): Promise<void> {
  const file = await open();
  for (const size of sizes) await file.append(checkpoint(size));
  await file.close();
}

describe('head file', () => {
  it('remembers the largest checkpoint from start to start', async () => {
    const file = await open();
    expect(file.last).toBeNull();
    await file.append(checkpoint(1));
    await file.append(checkpoint(40));
    await file.close();
    const again = await open();
    expect(again.last).toBe(checkpoint(40));
    await again.close();
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it('is not fooled by the order in which several processes append', async () => {
    const [one, two] = [await open(), await open()];
    await two.append(checkpoint(20));
    await one.append(checkpoint(10));
    await Promise.all([one.close(), two.close()]);
    expect(await remembered()).toBe(20);
  });

  it('begins anew when it is large, and forgets nothing on the way', async () => {
    const limit = 2000;
    const files = [await open(limit), await open(limit)] as const;
    let largest = 0;
    let emptied = 0;
    for (let round = 1; round <= 60; round++) {
      const before = statSync(path).size;
      // Now and then one appends after the other what it committed before.
      const sizes = round % 7 === 0 ? [2 * round + 1, 2 * round] : [2 * round, 2 * round + 1];
      await files[round % 2 === 0 ? 0 : 1].append(checkpoint(sizes[0] as number));
      await files[round % 3 === 0 ? 0 : 1].append(checkpoint(sizes[1] as number));
      largest = Math.max(largest, ...sizes);
      expect(await remembered()).toBe(largest);
      if (statSync(path).size < before) emptied++;
    }
    expect(emptied).toBeGreaterThan(2);
    expect(statSync(path).size).toBeLessThan(limit * 2);
    await Promise.all(files.map((file) => file.close()));
    expect(readdirSync(folder.path)).toEqual(['head']);
    // What a crash leaves: the large file moved aside, the new one not begun, or empty.
    renameSync(path, `${path}.previous-1`);
    expect(await remembered()).toBe(largest);
    writeFileSync(path, '');
    expect(await remembered()).toBe(largest);
    await appended(largest + 1);
    expect(await remembered()).toBe(largest + 1);
  });

  it('loses nothing that was appended while another process makes it begin anew', async () => {
    const files = await Promise.all(Array.from({ length: 4 }, () => open(1000)));
    let size = 0;
    await Promise.all(
      files.map(async (file) => {
        for (let round = 0; round < 100; round++) {
          const mine = ++size;
          await file.append(checkpoint(mine));
          expect(await remembered()).toBeGreaterThanOrEqual(mine);
        }
      }),
    );
    await Promise.all(files.map((file) => file.close()));
    expect(await remembered()).toBe(400);
    const kept = readdirSync(folder.path).reduce((sum, name) => sum + statSync(join(folder.path, name)).size, 0);
    expect(kept).toBeLessThan(10_000);
  });

  it('passes over what a crash cut off, wherever it cut, and goes on behind it', async () => {
    await appended(1, 2, 300);
    const whole = readFileSync(path);
    const note = Buffer.byteLength(`\n${checkpoint(300)}`);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: note }), fc.boolean(), async (lost, restart) => {
        writeFileSync(path, whole.subarray(0, whole.length - lost));
        // Without its last newline alone a note still says all that it is to say, then as well as later.
        const left = lost === 1 ? 300 : 2;
        expect(await remembered()).toBe(left);
        if (restart) await appended();
        expect(await remembered()).toBe(left);
        await appended(3);
        expect(await remembered()).toBe(Math.max(left, 3));
      }),
      {
        numRuns: examples(150),
        examples: [
          [1, false],
          [1, true],
        ],
      },
    );
  });

  it('passes over a torn note that others appended to, also when it names the largest size', async () => {
    await appended(5);
    // The signature is cut, the line is ended by what came next.
    appendFileSync(path, `\n${checkpoint(900).slice(0, -20)}`);
    await appended(6);
    expect(await remembered()).toBe(6);
  });

  it('hands out the checkpoint of another log rather than none', async () => {
    const other = new LogKey('other.example/log', randomBytes(32));
    writeFileSync(path, other.checkpoint(7, Buffer.alloc(32)));
    const found = await readHeadFile(path, [key.vkey]);
    expect(found).toBe(other.checkpoint(7, Buffer.alloc(32)));
  });
});

describe('a ledger and its head file', () => {
  it('starts over a torn tail, and refuses a ledger that is as long but has another root', async () => {
    const config = testConfig(folder.path);
    const ids = Array.from({ length: 5 }, () => randomUUID());
    let ledger = await openTestLedger(config);
    for (const id of ids) await ledger.writer.commit(count(id, 1));
    await ledger.close();
    truncateSync(config.headFile, statSync(config.headFile).size - 30);
    // Twice: the first start must not make a whole note of the torn one.
    for (let start = 0; start < 2; start++) {
      ledger = await openTestLedger(config);
      await ledger.close();
    }
    ledger = await openTestLedger(config);
    await ledger.writer.commit(count(ids[0] as string, 1));
    await ledger.close();

    // Another history of the same length, signed by the same key.
    rmSync(config.sqliteFile);
    rmSync(config.headFile);
    rmSync(`${config.sqliteFile}-wal`, { force: true });
    rmSync(`${config.sqliteFile}-shm`, { force: true });
    const kept = readFileSync(config.headFile.replace(/head$/, 'keys/log.key'));
    ledger = await openTestLedger(config);
    for (const id of ids) await ledger.writer.commit(count(id, 1));
    const real = await readHeadFile(config.headFile);
    await ledger.close();
    const signer = new LogKey('test.example/log', kept);
    writeFileSync(config.headFile, signer.checkpoint(5, Buffer.alloc(32, 1)));
    await expect(openTestLedger(config)).rejects.toThrow('differs from the checkpoint at 5 entries');
    writeFileSync(config.headFile, real as string);
    await (await openTestLedger(config)).close();
  });

  it.skipIf(!tellsOpenFiles)('are closed though something else cannot be, or the one refuses the other', async () => {
    const config = testConfig(folder.path);
    const ledger = await openTestLedger(config);
    await ledger.writer.commit(count(randomUUID(), 1));
    expect(openFiles(folder.path)).toContain(config.headFile);
    await ledger.source.destroy();
    vi.spyOn(ledger.source, 'destroy').mockRejectedValueOnce(new Error('does not close'));
    await expect(ledger.close()).rejects.toThrow('does not close');
    expect(openFiles(folder.path)).toEqual([]);

    const signer = new LogKey('test.example/log', readFileSync(join(config.keysDir, 'log.key')));
    writeFileSync(config.headFile, signer.checkpoint(5, Buffer.alloc(32)));
    await expect(openTestLedger(config)).rejects.toThrow('its head file remembers 5');
    rmSync(config.headFile);
    mkdirSync(`${config.headFile}.previous-folder`);
    await expect(openTestLedger(config)).rejects.toThrow('EISDIR');
    expect(openFiles(folder.path)).toEqual([]);
  });

  it.skipIf(!existsSync('/dev/full'))('acknowledges nothing that its head file does not remember', async () => {
    const config = testConfig(folder.path);
    const id = randomUUID();
    const command = count(id, 1, { idempotency: { client: testActor.id, key: 'key', request: 'same' } });
    // A disk without space.
    symlinkSync('/dev/full', config.headFile);
    let ledger = await openTestLedger(config);
    await expect(ledger.writer.commit(command)).rejects.toThrow('the head file cannot be written (ENOSPC)');
    await expect(ledger.writer.commit(count(id, 1))).rejects.toThrow(LedgerUnavailable);
    const forgotten = randomUUID();
    await expect(ledger.writer.commit(count(forgotten, 1))).rejects.toThrow(LedgerUnavailable);
    await expect(ledger.writer.erase(forgotten, testActor)).rejects.toThrow('the head file cannot be written (ENOSPC)');
    await ledger.close();
    rmSync(config.headFile);
    ledger = await openTestLedger(config);
    // Recorded, but never said to be: the repeat finds it.
    expect(await ledger.writer.commit(command)).toMatchObject({ ok: true, replayed: true });
    await ledger.writer.commit(count(id, 1));
    expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(3);
    await ledger.close();
    expect(openCheckpoint((await readHeadFile(config.headFile)) as string, ledger.writer.vkey).size).toBe(5);
  });
});
