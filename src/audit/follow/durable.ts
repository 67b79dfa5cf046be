import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Replaces a file as a whole; it is on the disk, name and content, before this resolves. After a rejection or a crash
 * it holds the old content or the new one. Its folder is made, readable by its owner only.
 */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = await open(`${path}.draft`, 'w', 0o600);
  try {
    await draft.writeFile(content);
    await draft.sync();
  } finally {
    await draft.close();
  }
  await rename(`${path}.draft`, path);
  await sync(folder);
  // A folder that is new has a name in another one.
  if (made !== undefined) for (let at = folder; at.length >= made.length; at = dirname(at)) await sync(dirname(at));
}

/** @returns null when there is no such file */
export async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

/** @returns null also when there is something that cannot be read: a folder, a bad sector, a file of somebody else's */
export async function readIfReadable(path: string): Promise<Buffer | null> {
  return readFile(path).catch(() => null);
}

/** Codes of what stands in the way of a file. */
const IN_THE_WAY = ['EISDIR', 'ENOTDIR', 'EEXIST'];

/**
 * As {@link writeDurably}, but whatever is in the way goes: a folder in the place of the file, a file in the place of
 * one of its folders.
 * @param path below `folder`, which stays
 */
export async function replaceDurably(folder: string, path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeDurably(join(folder, path), content);
  } catch (error) {
    if (!IN_THE_WAY.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    const parts = path.split('/');
    for (let at = 1; at < parts.length; at++) await removeUnless('folder', join(folder, ...parts.slice(0, at)));
    for (const file of [path, `${path}.draft`]) await removeUnless('file', join(folder, file));
    await writeDurably(join(folder, path), content);
  }
}

async function removeUnless(what: 'file' | 'folder', path: string): Promise<void> {
  const isFolder = await stat(path).then(
    (there) => there.isDirectory(),
    () => null,
  );
  if (isFolder === (what === 'file')) await rm(path, { recursive: true });
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
