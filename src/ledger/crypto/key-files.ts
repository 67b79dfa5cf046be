import { randomBytes, randomUUID } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A key file cannot be used. The message names the file and the reason, never its content. */
export class KeyFileError extends Error {}

function readKey(file: string, bytes: number): Buffer {
  const { mode } = statSync(file);
  if ((mode & 0o077) !== 0) throw new KeyFileError(`${file} may be read by others: make it 0600`);
  const key = readFileSync(file);
  if (key.length !== bytes) throw new KeyFileError(`${file} does not hold ${bytes} bytes`);
  return key;
}

/** @returns the key of that name, or null when there is no such file */
export function loadKey(dir: string, name: string, bytes = 32): Buffer | null {
  try {
    return readKey(join(dir, name), bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Makes a key of random bytes, durable before it returns.
 * @throws {KeyFileError} when the name is taken
 */
export function createKey(dir: string, name: string, bytes = 32): Buffer {
  const key = randomBytes(bytes);
  writeKey(dir, name, key);
  return key;
}

/**
 * Writes a given key, durable before it returns.
 * @throws {KeyFileError} when the name is taken
 */
export function writeKey(dir: string, name: string, key: Uint8Array): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = join(dir, name);
  // Written under another name and then linked, so that a process starting at this moment never reads half a key.
  const draft = `${file}.${randomUUID()}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, key);
    fsyncSync(descriptor);
    linkSync(draft, file);
  } catch (error) {
    throw new KeyFileError(`${file} cannot be made (${(error as NodeJS.ErrnoException).code})`);
  } finally {
    closeSync(descriptor);
    // The draft may be gone: a process that destroys older keys may have taken it for a copy of one.
    rmSync(draft, { force: true });
  }
  syncKeys(dir);
}

/** Makes all creations, renames and removals in the folder durable. */
export function syncKeys(dir: string): void {
  const folder = openSync(dir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * The key of that name, made at first use (`O_EXCL`, 0600, in a folder of 0700).
 * @throws {KeyFileError} when others may read the file or it has another length
 */
export function loadOrCreateKey(dir: string, name: string, bytes = 32): Buffer {
  const known = loadKey(dir, name, bytes);
  if (known) return known;
  try {
    return createKey(dir, name, bytes);
  } catch (error) {
    // Another process, starting at the same moment, was faster.
    const theirs = loadKey(dir, name, bytes);
    if (theirs) return theirs;
    throw error;
  }
}
