import type { Receipt } from '../../ledger/core/record/receipt.js';
import { Config, ConfigError } from '../../config/config.js';
import { type Db, dbOf } from '../../database/db.js';
import { type KeyHistory, readKeyHistory } from '../../ledger/read/key-history.js';
import type { LogKey } from '../../ledger/crypto/log-key.js';
import {
  begunKey,
  destroyLogKey,
  endRotation,
  installKey,
  oldKeyFile,
  oldKeyFiles,
  prepareKey,
} from '../../ledger/keys/log-key-files.js';
import { moveReceipt } from '../../ledger/read/handover-receipt.js';
import { TileProofs } from '../../ledger/read/stored-proofs.js';
import { loadWitnessPolicy } from '../../log/checkpoints/witness-policy.js';
import { withLedger, withLog } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal } from '../terminal.js';

export interface RotateKeyOptions extends CommonOptions {
  readonly prepare?: boolean;
  readonly destroyOld?: boolean;
}

interface Rotated {
  readonly key: LogKey;
  /** Null when the key came from an interrupted `log restart`, not from a rotation. */
  readonly from: string | null;
  /** Receipt of the log chain's event, under the checkpoint that both keys have signed. Null when {@link from} is. */
  readonly receipt: Receipt | null;
}

interface Replaced extends Omit<Rotated, 'key'> {
  readonly log: string;
  readonly to: string;
}

/** Former signing keys that the keys folder still holds. */
interface Kept {
  /** File of the replaced key; null when it is gone. */
  readonly old: string | null;
  /** Files of still earlier keys, and of copies. */
  readonly left: readonly string[];
}

/** `rxledger log rotate-key`: replaces the log's signing key by a new one that the old key has signed. */
export async function runRotateKey(options: RotateKeyOptions, terminal: Terminal): Promise<ExitCode> {
  const config = Config.parse(terminal.env);
  const { keysDir } = config;
  const { origin, vkey, past, begun } = await withLog(config, async ({ source, head }) => {
    const history = await readKeyHistory(dbOf(source), head.origin);
    // A rotation may have been interrupted after the log took the new key. A second run must not replace that key
    // again.
    const key = begunKey(keysDir, head.origin, head.vkey);
    return { ...head, past: history.vkeys.slice(0, -1), begun: key && (await begunOf(dbOf(source), history, key)) };
  });
  if (options.prepare) {
    // The begun key already signs, so it is not the next one. Finishing the rotation here would leave the old key
    // undestroyed, and repeating the interrupted command would replace the key again.
    if (begun) {
      terminal.err(
        `a rotation to ${vkey} has begun and was not ended: run \`rxledger log rotate-key\` again first, with --destroy-old to destroy the old key. Nothing was done.`,
      );
      return EXIT.finding;
    }
    return prepared(prepareKey(keysDir, origin), options, terminal);
  }
  const replaced = begun ?? (await replace(config, { origin, vkey }, terminal));
  if (!replaced) {
    terminal.err('another process has replaced the key meanwhile: nothing was done');
    return EXIT.finding;
  }
  const { key, from, receipt } = replaced;
  installKey(keysDir, key, from, !options.destroyOld);
  if (options.destroyOld && from !== null) destroyLogKey(keysDir, from);
  const said = { log: origin, from, to: key.vkey, receipt };
  const kept = keptOf(keysDir, said, past);
  if (options.json) terminal.out(JSON.stringify({ ...said, ...kept, index: receipt?.index ?? null }));
  else for (const line of inWords(said, kept, begun !== null, options)) terminal.out(line);
  // Must come after the output: until the new key was printed, a repeated command must find the rotation unfinished.
  endRotation(keysDir, key);
  return EXIT.ok;
}

/** An unfinished rotation, read from the log itself. @throws as {@link moveReceipt} does */
async function begunOf(db: Db, { rotations, vkeysNow }: KeyHistory, key: LogKey): Promise<Rotated> {
  const event = rotations.findLast(({ to }) => to === key.vkey);
  const receipt = event ? await moveReceipt(db, new TileProofs(db), key.origin, event.size) : null;
  return { key, from: vkeysNow.at(-2) ?? null, receipt };
}

function keptOf(dir: string, { from }: Replaced, past: readonly string[]): Kept {
  const files = oldKeyFiles(dir, from === null ? past : [...past, from]);
  const old = files.find((name) => from !== null && name === oldKeyFile(from)) ?? null;
  return { old, left: files.filter((name) => name !== old) };
}

function prepared(key: LogKey, { json }: CommonOptions, terminal: Terminal): ExitCode {
  const { origin, vkey } = key;
  terminal.out(json ? JSON.stringify({ log: origin, next: vkey }) : vkey);
  return EXIT.ok;
}

/**
 * @param decided the log's name and key when this run found no unfinished rotation
 * @returns null when another process has replaced that key meanwhile
 */
async function replace(
  config: Config,
  decided: { readonly origin: string; readonly vkey: string },
  terminal: Terminal,
): Promise<Rotated | null> {
  return withLedger(config, terminal, async ({ writer }) => {
    const from = writer.vkey;
    // Another process has replaced the key since. Going on would replace its new key, which nobody asked for.
    if (from !== decided.vkey) return null;
    const key = prepareKey(config.keysDir, decided.origin);
    checkPolicy(config, key.vkey);
    const receipt = await writer.replaceKey(key);
    return receipt && { key, from, receipt };
  });
}

/**
 * If the service's own policy did not name the next key, the service could not start any more. Its witnesses would not
 * know the key either.
 */
function checkPolicy({ env: { WITNESS_POLICY: path } }: Config, next: string): void {
  if (path === undefined) return;
  try {
    loadWitnessPolicy(path, next);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new EnvironmentError(`${error.message}. Nothing was replaced; the next key, for a second log line: ${next}`);
  }
}

function inWords(
  { from, to, receipt }: Replaced,
  { old, left }: Kept,
  already: boolean,
  { destroyOld }: RotateKeyOptions,
): string[] {
  const place = receipt ? `replaced at log index ${receipt.index}; ` : '';
  return [
    `${place}${already ? 'the log signs already with' : 'from now on the log signs with'}`,
    `  ${to}`,
    ...(from === null ? [] : [`  before: ${from}`]),
    destroyOld && from !== null
      ? 'the old key is destroyed; copies of it in backups of the keys folder are yours to destroy'
      : `the old key may still be in the keys folder${old === null ? '' : `: ${old}`}; it signs nothing any more, destroy it`,
    ...(left.length === 0
      ? []
      : [`keys from before that are still in the keys folder, destroy them: ${left.join(', ')}`]),
    'witnesses, WITNESS_POLICY and whoever pins the key need the new one',
  ];
}
