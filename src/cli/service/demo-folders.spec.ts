import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newDemoFolder } from './demo-folders.js';

/** Larger than any process id on Linux. */
const NOBODY = 2 ** 30;

describe('newDemoFolder', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'rxledger-demos-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  async function earlier(name: string, pid: number | null): Promise<string> {
    await mkdir(join(dir, name));
    if (pid !== null) await writeFile(join(dir, name, 'pid'), String(pid));
    return name;
  }

  it('removes what demos that have ended left, and keeps the newest until then', async () => {
    await earlier('demo-2026-11-29-abcdef', NOBODY);
    await earlier('demo-2026-11-30-ABC123', NOBODY);
    const folder = await newDemoFolder(dir);
    expect(await readdir(dir)).toEqual([basename(folder)]);
    await writeFile(join(folder, 'pid'), String(NOBODY));
    const next = await newDemoFolder(dir);
    expect(await readdir(dir)).toEqual([basename(next)]);
  });

  it('leaves alone what another demo uses, and whatever is no folder of a demo', async () => {
    const kept = [
      await earlier('demo-2026-11-29-abcdef', process.pid),
      await earlier('demo-2026-11-29-nobody', null),
      await earlier('demo-notes', NOBODY),
      await earlier('keys', NOBODY),
    ];
    await writeFile(join(dir, 'demo-2026-11-29-letter'), 'a file');
    await symlink(join(dir, 'keys'), join(dir, 'demo-2026-11-29-linked'));
    const folder = await newDemoFolder(dir);
    const all = [...kept, 'demo-2026-11-29-letter', 'demo-2026-11-29-linked', basename(folder)];
    expect((await readdir(dir)).toSorted()).toEqual(all.toSorted());
    expect(await readdir(join(dir, 'keys'))).toEqual(['pid']);
  });
});
