import { KEY_TYPE, NoteError, parseVerifierKey, type VerifierKey } from '../../ledger/core/tlog/note.js';

/** A log whose checkpoints a witness cosigns. */
export interface TrustedLog {
  /** First line of its checkpoints. */
  readonly origin: string;
  /** Keys of type 0x01; more than one while the log changes its key. */
  readonly keys: readonly VerifierKey[];
}

/** The list of logs cannot be used; the message says where and why. */
export class LogListError extends Error {
  override readonly name = 'LogListError';
}

export interface LogEntry {
  readonly vkey: string;
  /** By default the name of the key. */
  readonly origin?: string;
}

/**
 * The logs by origin. Entries of the same origin are keys of the same log.
 * @throws {LogListError} for a malformed verifier key, or one that is not a log's
 */
export function trustedLogs(entries: readonly LogEntry[]): ReadonlyMap<string, TrustedLog> {
  const logs = new Map<string, TrustedLog>();
  for (const { vkey, origin } of entries) {
    const key = readKey(vkey);
    const known = logs.get(origin ?? key.name) ?? { origin: origin ?? key.name, keys: [] };
    const again = known.keys.some(({ name, keyId }) => name === key.name && String(keyId) === String(key.keyId));
    logs.set(known.origin, again ? known : { ...known, keys: [...known.keys, key] });
  }
  return logs;
}

function readKey(vkey: string): VerifierKey {
  try {
    const key = parseVerifierKey(vkey);
    if (key.type === KEY_TYPE.ed25519) return key;
  } catch (error) {
    if (error instanceof NoteError)
      throw new LogListError(`not a verifier key (\`rxledger log vkey\` prints one): ${vkey}`);
    throw error;
  }
  throw new LogListError(`not the key of a log: ${vkey}`);
}

/**
 * Reads a list of logs in the witness network's format `logs/v0`: after that header, a line `vkey <vkey>` for each log.
 * It may be followed by `origin <origin>` (`none`: the key's name), and by `qpd`, `bastion` or `contact` lines, which
 * are ignored. Empty lines and lines that begin with `#` are ignored too.
 * @throws {LogListError}
 */
export function parseLogList(text: string): LogEntry[] {
  const lines = text
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'));
  if (lines.shift()?.line !== 'logs/v0') throw new LogListError('the first line is not logs/v0');
  const entries: LogEntry[] = [];
  for (const { line, number } of lines) {
    const [, name, value = ''] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    const last = entries.at(-1);
    if (name === 'vkey') entries.push({ vkey: value });
    else if (!last || name === undefined || !['origin', 'qpd', 'bastion', 'contact'].includes(name)) {
      throw new LogListError(`line ${number} is not one of a log`);
    } else if (name === 'origin' && value !== 'none') {
      if (last.origin !== undefined) throw new LogListError(`line ${number} is a second origin`);
      entries[entries.length - 1] = { ...last, origin: value };
    }
  }
  return entries;
}
