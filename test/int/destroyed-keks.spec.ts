import { randomUUID } from 'node:crypto';
import fs, { linkSync, readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.js';
import type { Ledger } from '../../src/ledger/open-ledger.js';
import { verified } from '../faults/verified.js';
import { count, counterModel, openTestLedger, temporaryFolder, testActor, testConfig } from '../support/ledger.js';

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
  vault.addKek();
  await writer.side((db) => vault.rewrapSubjects(db, 100));
  await writer.side((db) => vault.retireOldKeks(db));
  return writer.side((db) => vault.destroyOldKeks(db));
}

it('go with the copies that a crash left when they were made', async () => {
  const id = randomUUID();
  await ledger.writer.commit(count(id, 1));
  await ledger.writer.erase(id, testActor);
  leaveCopy('kek-0001');
  expect(await destroyOld()).toEqual(['0001']);
  expect(kekFiles()).toEqual(['kek-0002']);
  expect(await verified(config, [counterModel])).toMatchObject({ ok: true, erased: 1, incomplete: 0 });
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
  expect(ledger.vault.holdsUpTo('0001')).toBe(false);
  linkSync(join(folder.path, 'aside'), join(config.keysDir, copy));
  expect(ledger.vault.holdsUpTo('0001')).toBe(true);
  expect(await verified(config, [counterModel])).toMatchObject({ ok: true, erased: 1, incomplete: 1 });
  expect(await destroyOld()).toEqual(['0001', '0002']);
  expect(await verified(config, [counterModel])).toMatchObject({ ok: true, erased: 1, incomplete: 0 });
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
