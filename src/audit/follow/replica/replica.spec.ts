import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../../test/support/ledger.js';
import { goodEntries, MADE_VKEY, MadeLog } from '../../../../test/support/made-log.js';
import { SettableClock } from '../../../time/clock.js';
import { LogFileError } from '../../../ledger/core/tlog/log-client.js';
import { parseVerifierKey } from '../../../ledger/core/tlog/note.js';
import { logOnly } from '../../../ledger/core/tlog/policy.js';
import { parseTilePath } from '../../../ledger/core/tlog/tiles.js';
import { Follower, type Poll } from '../follower.js';
import { Replica } from './replica.js';

const log = new MadeLog([...goodEntries(300, 10)]);
let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

describe('a file of a replica', () => {
  it('is not read when it is not the one that is signed', async () => {
    const tiles = ['tile/entries/000', 'tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1'];
    for (const path of ['checkpoint', ...tiles]) {
      mkdirSync(dirname(join(folder.path, path)), { recursive: true });
      writeFileSync(join(folder.path, path), (await log.files()(path))!);
    }
    const replica = await Replica.open(folder.path);
    const read = async (path: string) => {
      const bytes = await replica.read(parseTilePath(path)!);
      return bytes && Buffer.from(bytes);
    };
    for (const path of tiles) expect(await read(path)).toEqual(Buffer.from((await log.files()(path))!));
    expect(await read('tile/0/002')).toBeNull();
    for (const wrong of [Buffer.alloc(8192), Buffer.alloc(0)]) {
      writeFileSync(join(folder.path, 'tile/entries/000'), wrong);
      await expect(read('tile/entries/000')).rejects.toThrow(LogFileError);
    }
  });

  it.each<[what: string, spoil: (path: string) => void]>([
    ['no list', (path) => writeFileSync(path, '{garbage')],
    ['a folder', (path) => mkdirSync(path)],
  ])('does not stay when it says that the log went on where it never did: %s', async (_, spoil) => {
    const copy = join(folder.path, 'log');
    const continued = join(copy, 'continued');
    expect(await follow(await Replica.open(copy))).toMatchObject({ ok: true });
    spoil(continued);
    expect(await follow(await Replica.open(copy))).toMatchObject({ ok: true, standing: { checked: 300 } });
    expect(existsSync(continued)).toBe(false);
  });
});

async function follow(replica: Replica): Promise<Poll> {
  const policy = logOnly(parseVerifierKey(MADE_VKEY));
  const clock = new SettableClock(Date.UTC(2026, 0, 2));
  const follower = await Follower.open(folder.path, { policy, fetch: log.files(), url: '', clock, replica });
  try {
    return await follower.poll();
  } finally {
    await follower.close();
  }
}
