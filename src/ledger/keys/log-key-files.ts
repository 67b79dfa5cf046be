import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeyFileError, loadKey, syncKeys, writeKey } from '../crypto/key-files.js';
import { parseVerifierKey } from '../core/tlog/note.js';
import { ed25519FromSeed, LogKey } from '../crypto/log-key.js';
import { LedgerUnavailable } from '../unavailable.js';

/** File of the current signing key. */
export const LOG_KEY_FILE = 'log.key';
/** Start of the file names of a prepared next key and of an earlier key; the key id follows. */
const NEXT = `${LOG_KEY_FILE}.next-`;
const OLD = `${LOG_KEY_FILE}.old-`;
/**
 * Names of complete keys. A crash while a key is written leaves a file with a longer name, which may hold half a key.
 */
const HELD = /^log\.key(?:\.(?:next|old)-[0-9a-f]{8})?$/;
/** Name of a {@link NEXT}. */
const PREPARED = /^log\.key\.next-[0-9a-f]{8}$/;
/** Name of an {@link OLD}. */
const SIGNED = /^log\.key\.old-[0-9a-f]{8}$/;

/**
 * The keys with which this process signs. The log's head names the current one. Another process may have replaced it
 * since the last batch, and then the old key must not sign any more.
 */
export class LogKeys {
  /** Every known key of the log: the head file may hold checkpoints signed by any of them. */
  readonly vkeys: string[];

  private constructor(
    private readonly dir: string,
    private current: LogKey,
    earlier: readonly string[],
  ) {
    this.vkeys = [...new Set([...earlier, current.vkey])];
  }

  /** @param earlier previous verifier keys of the log @returns null when the folder does not hold the log's key */
  static open(dir: string, origin: string, vkey: string, earlier: readonly string[] = []): LogKeys | null {
    const key = findLogKey(dir, origin, vkey);
    return key && new LogKeys(dir, key, earlier);
  }

  get origin(): string {
    return this.current.origin;
  }

  get vkey(): string {
    return this.current.vkey;
  }

  /**
   * The key to sign with.
   * @param vkey the key that the log's head names
   * @throws {LedgerUnavailable} when the key was replaced, and the new one is not in the keys folder
   */
  of(vkey: string): LogKey {
    if (vkey === this.current.vkey) return this.current;
    const found = attempt(() => findLogKey(this.dir, this.origin, vkey));
    if (!found)
      throw new LedgerUnavailable("the log's key was replaced, and the new one is not in the keys folder", 60);
    this.take(found);
    return found;
  }

  /** Makes the key the current one, after this process replaced the previous one. */
  take(key: LogKey): void {
    this.vkeys.push(key.vkey);
    this.current = key;
  }
}

/**
 * Finds the key that the log's head names: in the file of the signing key, or still in the file of a prepared one.
 * @throws {KeyFileError} when a file cannot be used
 */
function findLogKey(dir: string, origin: string, vkey: string): LogKey | null {
  // The first file is tried again at the end: it may have been renamed in between.
  for (const name of [LOG_KEY_FILE, `${NEXT}${keyIdOf(vkey)}`, LOG_KEY_FILE]) {
    const seed = loadKey(dir, name);
    const key = seed && new LogKey(origin, seed);
    if (key?.vkey === vkey) return key;
  }
  return null;
}

/**
 * The key that was prepared as the log's next one; null when there is none. One prepared for another log name is
 * ignored: its key id would differ.
 * @throws {KeyFileError}
 */
export function preparedKey(dir: string, origin: string): LogKey | null {
  for (const name of readdirSync(dir).toSorted()) {
    const seed = PREPARED.test(name) ? loadKey(dir, name) : null;
    const key = seed && new LogKey(origin, seed);
    if (key && name === `${NEXT}${keyIdOf(key.vkey)}`) return key;
  }
  return null;
}

/** Makes the log's next key, unless one is prepared already; durable before it returns. @throws {KeyFileError} */
export function prepareKey(dir: string, origin: string): LogKey {
  const prepared = preparedKey(dir, origin);
  if (prepared) return prepared;
  const seed = randomBytes(32);
  const key = new LogKey(origin, seed);
  writeKey(dir, `${NEXT}${keyIdOf(key.vkey)}`, seed);
  return key;
}

/**
 * The current key if its rotation is unfinished: the file in which it was prepared is still there. Null otherwise.
 * @param vkey the key that the log's head names
 * @throws {KeyFileError}
 */
export function begunKey(dir: string, origin: string, vkey: string): LogKey | null {
  const seed = loadKey(dir, `${NEXT}${keyIdOf(vkey)}`);
  const key = seed && new LogKey(origin, seed);
  return key?.vkey === vkey ? key : null;
}

/**
 * Gives a new key the file name of the signing key; that name exists at every moment. Nothing changes if this is done
 * already, or another process does it at the same time. The file in which the key was prepared stays: until {@link
 * endRotation} it marks the rotation as unfinished.
 * @param from verifier key of the previous key
 * @param keep whether the previous key stays, in a file of its own
 */
export function installKey(dir: string, { origin, vkey }: LogKey, from: string | null, keep: boolean): void {
  const prepared = `${NEXT}${keyIdOf(vkey)}`;
  const [next, before] = [loadKey(dir, prepared), loadKey(dir, LOG_KEY_FILE)];
  if (!next || before?.equals(next)) return;
  // The previous key's id depends on the name that the log had with it.
  const name = from === null ? origin : parseVerifierKey(from).name;
  const old = before && `${OLD}${keyIdOf(new LogKey(name, before).vkey)}`;
  if (old && keep && loadKey(dir, old) === null) unlessTaken(() => writeKey(dir, old, before));
  const second = join(dir, `${LOG_KEY_FILE}.${randomUUID()}`);
  unlessGone(() => {
    linkSync(join(dir, prepared), second);
    renameSync(second, join(dir, LOG_KEY_FILE));
  });
  // If another process has done this meanwhile, both are names of the same file, and rename leaves the second name
  // there.
  rmSync(second, { force: true });
  syncKeys(dir);
}

/**
 * Destroys a key that no longer signs: every file in the folder that holds it, under any name, including copies that a
 * crash left. When this returns they are gone from disk too.
 */
export function destroyLogKey(dir: string, vkey: string): void {
  const named = [OLD, NEXT].map((start) => `${start}${keyIdOf(vkey)}`);
  for (const name of besides(dir)) {
    // By name too, since a crash may have left half of the key.
    const isIt = named.some((one) => name === one || name.startsWith(`${one}.`)) || holdsAny(dir, name, [vkey]);
    if (isIt) rmSync(join(dir, name), { force: true });
  }
  syncKeys(dir);
}

/** Removes the file by which {@link installKey} marks a rotation as unfinished. */
export function endRotation(dir: string, { vkey }: LogKey): void {
  rmSync(join(dir, `${NEXT}${keyIdOf(vkey)}`), { force: true });
  syncKeys(dir);
}

/** Finishes a rotation once the log has taken the new key. @param keep whether the previous key stays in a file */
export function settleKey(dir: string, key: LogKey, from: string | null, keep: boolean): void {
  installKey(dir, key, from, keep);
  if (from !== null && !keep) destroyLogKey(dir, from);
  endRotation(dir, key);
}

/** Name of the file in which a key that was replaced is kept. */
export const oldKeyFile = (vkey: string): string => `${OLD}${keyIdOf(vkey)}`;

/**
 * Files of earlier signing keys and of copies of them.
 * @param earlier previous verifier keys of the log, also under other names
 */
export function oldKeyFiles(dir: string, earlier: readonly string[]): string[] {
  return besides(dir).filter((name) => SIGNED.test(name) || holdsAny(dir, name, earlier));
}

/** Files in the folder that may hold a log key, except the signing key's. */
function besides(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(LOG_KEY_FILE) && entry.name !== LOG_KEY_FILE)
    .map(({ name }) => name)
    .toSorted();
}

/** Whether a file holds one of these keys. Each key carries its own log name. */
function holdsAny(dir: string, name: string, vkeys: readonly string[]): boolean {
  let seed: Buffer;
  try {
    seed = readFileSync(join(dir, name));
  } catch (error) {
    // Another process has removed it meanwhile.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  if (seed.length !== 32) return false;
  const { publicKey } = ed25519FromSeed(seed);
  return vkeys.some((vkey) => publicKey.equals(parseVerifierKey(vkey).publicKey));
}

/** All keys of a log of that name in the folder: the current one, a prepared one, earlier ones. */
export function heldKeys(dir: string, origin: string): LogKey[] {
  return readdirSync(dir)
    .filter((name) => HELD.test(name))
    .flatMap((name) => loadKey(dir, name) ?? [])
    .map((seed) => new LogKey(origin, seed));
}

/** The key id in a verifier key, 8 hex digits. */
export const keyIdOf = (vkey: string): string => vkey.slice(vkey.indexOf('+') + 1).slice(0, 8);

/** Ignores that the file exists: another process does the same at this moment. */
function unlessTaken(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
  }
}

function unlessGone(rename: () => void): void {
  try {
    rename();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Treats a file that is being changed, or that cannot be used, as holding no key. */
function attempt(find: () => LogKey | null): LogKey | null {
  try {
    return find();
  } catch (error) {
    if (error instanceof KeyFileError || (error as NodeJS.ErrnoException).code !== undefined) return null;
    throw error;
  }
}
