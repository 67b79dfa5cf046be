/** Key-encryption keys (KEKs) as files of the keys folder, `kek-<id>`, and copies of them under any name. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { syncKeys } from '../crypto/key-files.js';
import { KEY } from '../crypto/seal-in-place.js';

const KEK_FILE = /^kek-\d{4}$/;
/** The name of a KEK file or of a usual copy. Once the KEK is gone, a copy can be recognised only by its name. */
const KEK_OR_COPY = /^kek-(\d{4})(?!\d)/;

/** A KEK or a copy of it. */
export interface KekFile {
  /** Id of the KEK. */
  readonly id: string;
  readonly name: string;
}

/** Ids of the KEKs in the folder, oldest first. */
export function kekIds(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => KEK_FILE.test(entry.name) && !entry.isDirectory())
    .map(({ name }) => name.slice('kek-'.length))
    .toSorted();
}

/**
 * Files of the KEKs in the folder and of copies, recognised by content or else by name, oldest first.
 * @param keks the known ones, by id
 */
export function kekFiles(dir: string, keks: ReadonlyMap<string, Uint8Array>): KekFile[] {
  const found: KekFile[] = [];
  for (const name of readdirSync(dir)) {
    const bytes = contentOf(join(dir, name));
    if (bytes === null) continue;
    const named = KEK_OR_COPY.exec(name)?.[1];
    // A file with a KEK's exact name is that KEK, so that the newest KEK is never taken for a copy of an older one.
    const held = KEK_FILE.test(name) ? undefined : [...keks].find(([, key]) => bytes.equals(key))?.[0];
    const id = held ?? named;
    if (id !== undefined) found.push({ id, name });
  }
  return found.toSorted((a, b) => a.id.localeCompare(b.id));
}

/** @returns null when it is not a file or is gone by now; empty when its length is not that of a key */
function contentOf(path: string): Buffer | null {
  try {
    const found = statSync(path);
    if (!found.isFile()) return null;
    return found.size === KEY ? readFileSync(path) : Buffer.alloc(0);
  } catch (error) {
    // Another process has removed it meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Removes files of KEKs: first the copies and, once that is on disk, the KEK itself. While the KEK is there, a second
 * run can recognise the remaining copies. When this returns or throws, no power cut brings removed files back.
 */
export function removeKeks(dir: string, files: readonly KekFile[]): void {
  for (const isKek of [false, true]) {
    try {
      for (const { name } of files) if (KEK_FILE.test(name) === isKek) rmSync(join(dir, name), { force: true });
    } finally {
      syncKeys(dir);
    }
  }
}
