import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Replaces a whole file. Its name and content are on disk before this resolves. After a rejection or a crash the file
 * holds the old content or the new one, never a mix. Missing folders are made, readable by their owner only.
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
  // The name of a new folder is durable once the folder above it is synced.
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

/** @returns null also when the path cannot be read: a folder, a bad sector, a file without permission */
export async function readIfReadable(path: string): Promise<Buffer | null> {
  return readFile(path).catch(() => null);
}

/** Error codes when something else stands at the path. */
const IN_THE_WAY = ['EISDIR', 'ENOTDIR', 'EEXIST'];

/**
 * As {@link writeDurably}, but first removes obstacles: a folder in place of the file, or a file in place of one of its
 * folders.
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
