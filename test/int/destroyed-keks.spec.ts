import { randomUUID } from 'node:crypto';
import fs, { copyFileSync, linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { verified } from '../faults/verified.js';
import { count, COUNTING, openTestLedger, temporaryFolder, testActor, testConfig } from '../support/ledger.js';

let folder: ReturnType<typeof temporaryFolder>;
let config: Config;
let ledger: Ledger;
beforeEach(async () => {
  folder = temporaryFolder();
  config = testConfig(folder.path);
  ledger = await openTestLedger(config);
});
afterEach(async () => {
  await ledger.close();
  folder.remove();
});

const kekFiles = (): string[] => readdirSync(config.keysDir).filter((name) => name.startsWith('kek-'));

/** As `kill -9` leaves the folder between the two names of a key that is made. */
function leaveCopy(kek: string): void {
  linkSync(join(config.keysDir, kek), join(config.keysDir, `${kek}.${randomUUID()}`));
}

async function destroyOld(): Promise<string[]> {
  const { writer, vault } = ledger;
  vault.keks.add();
  await writer.side((db) => vault.rewrapSubjects(db, 100));
  await writer.side((db) => vault.keks.retireOld(db));
  return writer.side((db) => vault.keks.destroyOld(db));
}

it('go with the copies that a crash left when they were made', async () => {
  const id = randomUUID();
  await ledger.writer.commit(count(id, 1));
  await ledger.writer.erase(id, testActor);
  leaveCopy('kek-0001');
  expect(await destroyOld()).toEqual(['0001']);
  expect(kekFiles()).toEqual(['kek-0002']);
  expect(await verified(config, COUNTING)).toMatchObject({ ok: true, erased: 1, incomplete: 0 });
  leaveCopy('kek-0002');
  expect(await destroyOld()).toEqual(['0002']);
  expect(kekFiles()).toEqual(['kek-0003']);
});

it('keep an erasure incomplete while a copy of them is left', async () => {
  const id = randomUUID();
  await ledger.writer.commit(count(id, 1));
  await ledger.writer.erase(id, testActor);
  leaveCopy('kek-0001');
  const [copy = ''] = kekFiles().filter((name) => name !== 'kek-0001');
  linkSync(join(config.keysDir, copy), join(folder.path, 'aside'));
  await destroyOld();
  expect(ledger.vault.keks.holdsUpTo('0001')).toBe(false);
  linkSync(join(folder.path, 'aside'), join(config.keysDir, copy));
  expect(ledger.vault.keks.holdsUpTo('0001')).toBe(true);
  expect(await verified(config, COUNTING)).toMatchObject({ ok: true, erased: 1, incomplete: 1 });
  expect(await destroyOld()).toEqual(['0001', '0002']);
  expect(await verified(config, COUNTING)).toMatchObject({ ok: true, erased: 1, incomplete: 0 });
});

it('are gone from the disk, too, when they are said to be destroyed', async () => {
  await ledger.writer.commit(count(randomUUID(), 1));
  const synced: string[][] = [];
  const { fsyncSync } = fs;
  fs.fsyncSync = (file) => {
    fsyncSync(file);
    synced.push(kekFiles());
  };
  syncBuiltinESMExports();
  try {
    await destroyOld();
  } finally {
    fs.fsyncSync = fsyncSync;
    syncBuiltinESMExports();
  }
  expect(synced.at(-1)).toEqual(['kek-0002']);
});

it('go with every copy of them, whatever its name, and nothing else does', async () => {
  const id = randomUUID();
  await ledger.writer.commit(count(id, 1));
  await ledger.writer.erase(id, testActor);
  const copies = ['kek-0001-copy', 'kek-0001~', 'kek-0002.misnamed', 'old'];
  for (const name of copies) copyFileSync(join(config.keysDir, 'kek-0001'), join(config.keysDir, name));
  copyFileSync(join(config.keysDir, 'kek-0001'), join(folder.path, 'aside'));
  writeFileSync(join(config.keysDir, 'other'), Buffer.alloc(32, 1), { mode: 0o600 });
  expect(await destroyOld()).toEqual(['0001']);
  expect(readdirSync(config.keysDir)).toEqual(['index.key', 'kek-0002', 'log.key', 'other']);
  for (const name of ['kek-0001-copy', 'kek-0001~']) {
    copyFileSync(join(folder.path, 'aside'), join(config.keysDir, name));
    expect(ledger.vault.keks.holdsUpTo('0001')).toBe(true);
    expect(await verified(config, COUNTING)).toMatchObject({ ok: true, erased: 1, incomplete: 1 });
    expect(await destroyOld()).toContain('0001');
    expect(ledger.vault.keks.holdsUpTo('0001')).toBe(false);
  }
});

it('are destroyed also where folders have names like theirs', async () => {
  await ledger.writer.commit(count(randomUUID(), 1));
  leaveCopy('kek-0001');
  for (const name of ['kek-0001.backup', 'kek-0009']) mkdirSync(join(config.keysDir, name));
  expect(await destroyOld()).toEqual(['0001']);
  expect(kekFiles()).toEqual(['kek-0001.backup', 'kek-0002', 'kek-0009']);
  expect(ledger.vault.keks.holdsUpTo('0001')).toBe(false);
});

it('are known to the next run, and what was removed is so on the disk, where one cannot be removed', async () => {
  await ledger.writer.commit(count(randomUUID(), 1));
  for (const name of ['a', 'b', 'c']) copyFileSync(join(config.keysDir, 'kek-0001'), join(config.keysDir, name));
  const { fsyncSync, rmSync } = fs;
  const synced: string[][] = [];
  fs.rmSync = (path, options) => {
    if (String(path).endsWith('/b')) throw new Error('no');
    rmSync(path, options);
  };
  fs.fsyncSync = (file) => {
    fsyncSync(file);
    synced.push(readdirSync(config.keysDir));
  };
  syncBuiltinESMExports();
  try {
    await expect(destroyOld()).rejects.toThrow('no');
  } finally {
    Object.assign(fs, { fsyncSync, rmSync });
    syncBuiltinESMExports();
  }
  const left = readdirSync(config.keysDir);
  expect(left).not.toContain('a');
  expect(synced.at(-1)).toEqual(left);
  expect(await destroyOld()).toEqual(['0001', '0002']);
  expect(readdirSync(config.keysDir)).toEqual(['index.key', 'kek-0003', 'log.key']);
});

it('are not said to be gone where the keys folder cannot be read', () => {
  writeFileSync(join(config.keysDir, 'kek-0002'), Buffer.alloc(32, 1), { mode: 0o644 });
  expect(() => ledger.vault.keks.holdsUpTo('0001')).toThrow(LedgerUnavailable);
});

/** How often a verification lists the keys folder. */
async function looks(): Promise<number> {
  const { readdirSync: read } = fs;
  let times = 0;
  const counting = (...args: Parameters<typeof read>) => {
    if (args[0] === config.keysDir) times++;
    return read(...args);
  };
  Object.assign(fs, { readdirSync: counting });
  syncBuiltinESMExports();
  try {
    expect(await verified(config, COUNTING)).toMatchObject({ ok: true });
  } finally {
    Object.assign(fs, { readdirSync: read });
    syncBuiltinESMExports();
  }
  return times;
}

it('are looked for once by a verification, however much was erased under them', async () => {
  const ids = Array.from({ length: 5 }, () => randomUUID());
  for (const id of ids) await ledger.writer.commit(count(id, 1));
  await ledger.writer.erase(ids[0] as string, testActor);
  const one = await looks();
  for (const id of ids.slice(1)) await ledger.writer.erase(id, testActor);
  expect(await looks()).toBe(one);
});
