import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { KeyFileError, loadKey, syncKeys, writeKey } from '../crypto/key-files.js';
import { parseVerifierKey } from '../core/tlog/note.js';
import { ed25519FromSeed, LogKey } from '../crypto/log-key.js';
import { LedgerUnavailable } from '../unavailable.js';

/** The file of the key that signs. */
export const LOG_KEY_FILE = 'log.key';
/** Files of a key that will sign next, and of one that signed earlier; the key id follows. */
const NEXT = `${LOG_KEY_FILE}.next-`;
const OLD = `${LOG_KEY_FILE}.old-`;
/** Names of whole keys. What a crash leaves of a key in the making has a longer name, and may be half a key. */
const HELD = /^log\.key(?:\.(?:next|old)-[0-9a-f]{8})?$/;
/** Name of a {@link NEXT}. */
const PREPARED = /^log\.key\.next-[0-9a-f]{8}$/;
/** Name of an {@link OLD}. */
const SIGNED = /^log\.key\.old-[0-9a-f]{8}$/;

/**
 * The keys with which this process signs. The head of the log says which one: another process may have replaced it since
 * the last batch, and from then on the old one signs nothing.
 */
export class LogKeys {
  /** Every key of the log that this process knows of: the head file may hold checkpoints by all of them. */
  readonly vkeys: string[];

  private constructor(
    private readonly dir: string,
    private current: LogKey,
    earlier: readonly string[],
  ) {
    this.vkeys = [...new Set([...earlier, current.vkey])];
  }

  /** @param earlier verifier keys of the log's past. @returns null when the folder does not hold the log's key */
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
   * The key with which to sign.
   * @param vkey what the head of the log names
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

  /** This process has put the key in the place of the other. */
  take(key: LogKey): void {
    this.vkeys.push(key.vkey);
    this.current = key;
  }
}

/**
 * Looks for the key that the log's head names: the one that signs, or one that was made to sign next and does already.
 * @throws {KeyFileError} when a file cannot be used
 */
function findLogKey(dir: string, origin: string, vkey: string): LogKey | null {
  // Once more at the end: between the two looks the file may have got its new name.
  for (const name of [LOG_KEY_FILE, `${NEXT}${keyIdOf(vkey)}`, LOG_KEY_FILE]) {
    const seed = loadKey(dir, name);
    const key = seed && new LogKey(origin, seed);
    if (key?.vkey === vkey) return key;
  }
  return null;
}

/**
 * The key that was prepared as the log's next one; null when there is none. One that was prepared for a log of another
 * name would not be found under this log's key id.
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
 * The key that signs, where its rotation was not finished: the file under which it was prepared is still there.
 * @param vkey what the head of the log names
 * @throws {KeyFileError}
 */
export function begunKey(dir: string, origin: string, vkey: string): LogKey | null {
  const seed = loadKey(dir, `${NEXT}${keyIdOf(vkey)}`);
  const key = seed && new LogKey(origin, seed);
  return key?.vkey === vkey ? key : null;
}

/**
 * Renames the key that has begun to sign to the name of the one that signs; at no moment is there none. Where it is done
 * already, or another process does it at the same time, nothing changes. The file under which the key was prepared stays:
 * until {@link endRotation} it says that the rotation is not finished.
 * @param from verifier key of the previous one
 * @param keep whether the key that had the name stays, in a file of its own
 */
export function installKey(dir: string, { origin, vkey }: LogKey, from: string | null, keep: boolean): void {
  const prepared = `${NEXT}${keyIdOf(vkey)}`;
  const [next, before] = [loadKey(dir, prepared), loadKey(dir, LOG_KEY_FILE)];
  if (!next || before?.equals(next)) return;
  // Under the name that its log had then.
  const name = from === null ? origin : parseVerifierKey(from).name;
  const old = before && `${OLD}${keyIdOf(new LogKey(name, before).vkey)}`;
  if (old && keep && loadKey(dir, old) === null) unlessTaken(() => writeKey(dir, old, before));
  const second = join(dir, `${LOG_KEY_FILE}.${randomUUID()}`);
  unlessGone(() => {
    linkSync(join(dir, prepared), second);
    renameSync(second, join(dir, LOG_KEY_FILE));
  });
  // Where another process has given it the name meanwhile, renaming one name of a file to another does nothing.
  rmSync(second, { force: true });
  syncKeys(dir);
}

/**
 * Destroys a key that signs no more: every file in the folder that holds it, whatever its name, also copies that a crash
 * left. When this returns they are gone from the disk, too.
 */
export function destroyLogKey(dir: string, vkey: string): void {
  const named = [OLD, NEXT].map((start) => `${start}${keyIdOf(vkey)}`);
  for (const name of besides(dir)) {
    // By its name where a crash left half of it.
    const isIt = named.some((one) => name === one || name.startsWith(`${one}.`)) || holdsAny(dir, name, [vkey]);
    if (isIt) rmSync(join(dir, name), { force: true });
  }
  syncKeys(dir);
}

/** What {@link installKey} left to say that the rotation is not finished. */
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
 * Files of keys that signed earlier, and of copies of them.
 * @param earlier verifier keys of the log's past, also under other names
 */
export function oldKeyFiles(dir: string, earlier: readonly string[]): string[] {
  return besides(dir).filter((name) => SIGNED.test(name) || holdsAny(dir, name, earlier));
}

/** Files in the folder that may hold a log key, besides the one that signs. */
function besides(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(LOG_KEY_FILE) && entry.name !== LOG_KEY_FILE)
    .map(({ name }) => name)
    .toSorted();
}

/** Whether a file holds one of these keys, under whatever log's name. */
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

/** All keys of a log of that name in the folder: the one that signs, one that will, those that did. */
export function heldKeys(dir: string, origin: string): LogKey[] {
  return readdirSync(dir)
    .filter((name) => HELD.test(name))
    .flatMap((name) => loadKey(dir, name) ?? [])
    .map((seed) => new LogKey(origin, seed));
}

/** The key id in a verifier key, 8 hex digits. */
export const keyIdOf = (vkey: string): string => vkey.slice(vkey.indexOf('+') + 1).slice(0, 8);

/** Another process does the same at this moment. */
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

/** A file that another process is changing, or that cannot be used, holds no key that signs here. */
function attempt(find: () => LogKey | null): LogKey | null {
  try {
    return find();
  } catch (error) {
    if (error instanceof KeyFileError || (error as NodeJS.ErrnoException).code !== undefined) return null;
    throw error;
  }
}
