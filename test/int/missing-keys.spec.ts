import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import { RestartRefused, restartLog } from '../../src/ledger/upkeep/restart.js';
import { restoreLog } from '../../src/ledger/upkeep/restore.js';
import { RestoreRefused } from '../../src/ledger/upkeep/lost-part.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { count, COUNTING, temporaryFolder, testConfig } from '../support/ledger.js';
import { AGREED } from '../support/set-back.js';
import { runCommand } from '../support/terminal.js';

const MODELS = COUNTING;

describe.each([
  ['the only key-encryption key', 'kek-0001', /lacks kek-0001,/, /lacks kek-0001,/],
  ['index.key', 'index.key', /lacks index\.key,/, /lacks index\.key,/],
  // Without the key that signs `serve` looks no further.
  ['all of them', '', /lacks index\.key, kek-0001,/, /holds no log\.key/],
] as const)('a keys folder that lacks %s', (_, name, lacks, notServed) => {
  const folder = temporaryFolder();
  const config = testConfig(folder.path);
  const [place, aside] = [join(config.keysDir, name), join(folder.path, 'aside')];
  beforeAll(async () => {
    const ledger = await open();
    await ledger.writer.commit(count(randomUUID(), 1));
    await ledger.close();
    renameSync(place, aside);
  });
  afterAll(() => folder.remove());

  const open = () => openLedger(config, new Clock(), MODELS);
  const goOn = () => restartLog(config, new Clock(), MODELS, null, AGREED);
  const sources = { replica: null, payloads: Readable.from([]) };
  const restore = () => restoreLog(config, new Clock(), MODELS, sources, { report: () => undefined });

  const verify = (...args: string[]) => runCommand(['log', 'verify', ...args], { DATA_DIR: folder.path });

  it('is named by whatever does not go on without it', async () => {
    await expect(open()).rejects.toThrow(notServed);
    // It may have been lost as well as destroyed.
    await expect(goOn()).rejects.toThrow(
      'until that is put back from a backup of the keys folder, and what it protects',
    );
    await expect(goOn()).rejects.toThrow(lacks);
    await expect(goOn()).rejects.toThrow(RestartRefused);
    await expect(restore()).rejects.toThrow(lacks);
    await expect(restore()).rejects.toThrow(RestoreRefused);
    expect(existsSync(place)).toBe(false);
  });

  it('is named by `verify`, which checks the entries', async () => {
    const { code, out, err } = await verify();
    expect(code).toBe(3);
    expect(out).toContain('1 of 1 entries, 0 payloads');
    expect(err).toMatch(lacks);
    expect(err).toContain(config.keysDir);
    expect(err).toContain('--entries-only');
    expect(await verify('--entries-only')).toMatchObject({ code: 0, err: '' });
    expect(existsSync(place)).toBe(false);
  });

  it('goes on when it is put back', async () => {
    renameSync(aside, place);
    await (await open()).close();
    expect(readdirSync(config.keysDir)).toEqual(['index.key', 'kek-0001', 'log.key']);
  });
});
