import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from './machine.js';

/** A demo's folder: `demo-`, its day, and six characters of `mkdtemp`. */
const NAME = /^demo-\d{4}-\d{2}-\d{2}-\w{6}$/;
/** File in that folder with the id of the process that plays or serves the demo. */
const OWNER = 'pid';

/**
 * Makes the folder of a new demo, and removes folders of earlier demos whose process has ended. So the last demo can be
 * inspected until the next one starts.
 * @param dataDir `DATA_DIR`; made when it is missing
 * @returns the new folder's path
 */
export async function newDemoFolder(dataDir: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(dataDir, `demo-${new Date().toISOString().slice(0, 10)}-`));
  await writeFile(join(folder, OWNER), String(process.pid), { mode: 0o600 });
  for (const entry of await readdir(dataDir, { withFileTypes: true })) {
    const other = join(dataDir, entry.name);
    if (!entry.isDirectory() || !NAME.test(entry.name) || other === folder) continue;
    if (!(await isOwned(other))) await rm(other, { recursive: true, force: true });
  }
  return folder;
}

/** Whether a demo still uses the folder. A folder without an owner is about to be used. */
async function isOwned(folder: string): Promise<boolean> {
  const owner = await readFile(join(folder, OWNER), 'utf8').catch(() => null);
  return owner === null || isAlive(Number(owner));
}
