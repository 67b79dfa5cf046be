import { CHAIN_MODELS } from '../chain-models.js';
import { Clock } from '../config/clock.js';
import { Config, ConfigError } from '../config/config.js';
import { dbOf } from '../database/db.js';
import { readKeyHistory } from '../ledger/key-history.js';
import type { LogKey } from '../ledger/log-key.js';
import {
  begunKey,
  destroyLogKey,
  endRotation,
  installKey,
  oldKeyFile,
  oldKeyFiles,
  prepareKey,
} from '../ledger/log-keys.js';
import type { Receipt } from '../ledger/model.js';
import { openLedger } from '../ledger/open-ledger.js';
import { loadWitnessPolicy } from '../log/rounds-policy.js';
import { withLog } from './open-log.js';
import { type CommonOptions, EnvironmentError, EXIT, type ExitCode, type Terminal } from './terminal.js';

export interface RotateLogKeyOptions extends CommonOptions {
  readonly prepare?: boolean;
  readonly destroyOld?: boolean;
}

interface Replaced {
  readonly log: string;
  /** Null where the log does not say it. */
  readonly from: string | null;
  readonly to: string;
  /** Of the log chain's event, under the checkpoint that both keys have signed. */
  readonly receipt: Receipt | null;
}

/** What the keys folder still holds of keys that sign no more. */
interface Kept {
  /** File of the key that was replaced; null when there is none any more. */
  readonly old: string | null;
  /** Files of keys from before that one, and of copies. */
  readonly left: readonly string[];
}

/** `rxledger rotate-log-key`: the log goes on under a new key that the old one has vouched for. */
export async function runRotateLogKey(options: RotateLogKeyOptions, terminal: Terminal): Promise<ExitCode> {
  const config = Config.parse(terminal.env);
  const { keysDir } = config;
  const { origin, vkey, before, past } = await withLog(config, async ({ source, head }) => {
    const { vkeysNow, vkeys } = await readKeyHistory(dbOf(source), head.origin);
    return { ...head, before: vkeysNow.at(-2) ?? null, past: vkeys.slice(0, -1) };
  });
  // Interrupted after the log had taken it: a second run must not replace it once more.
  const begun = begunKey(keysDir, origin, vkey);
  if (options.prepare) {
    // It signs already, and is not the next one. Ended here, the old key would stay undestroyed, and whoever runs again
    // what was interrupted would replace the key once more.
    if (begun) {
      terminal.err(
        `a rotation to ${vkey} has begun and was not ended: run \`rxledger rotate-log-key\` again first, with --destroy-old to destroy the old key. Nothing was done.`,
      );
      return EXIT.finding;
    }
    return prepared(prepareKey(keysDir, origin), options, terminal);
  }
  const replaced = begun
    ? { key: begun, from: before, receipt: null }
    : await replace(config, { origin, vkey }, terminal);
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
  else for (const line of inWords(said, kept, options)) terminal.out(line);
  // Not before everybody could read which key signs now.
  endRotation(keysDir, key);
  return EXIT.ok;
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
 * @param decided the log's name, and the key that signed it when this run found nothing to end
 * @returns null where another process has replaced that key meanwhile
 */
async function replace(
  config: Config,
  decided: { readonly origin: string; readonly vkey: string },
  terminal: Terminal,
): Promise<{ key: LogKey; from: string; receipt: Receipt } | null> {
  const ledger = await openLedger(config, new Clock(), CHAIN_MODELS, (event, detail) =>
    terminal.err(`${event} ${JSON.stringify(detail)}`),
  );
  try {
    const from = ledger.writer.vkey;
    // Another process has begun since, and perhaps ended: its key would be replaced in turn, which nobody asked for.
    if (from !== decided.vkey) return null;
    const key = prepareKey(config.keysDir, decided.origin);
    checkPolicy(config, key.vkey);
    const receipt = await ledger.writer.replaceKey(key);
    return receipt && { key, from, receipt };
  } finally {
    await ledger.close();
  }
}

/** Where the service's own policy does not name the next key, it would not start any more, and nobody has asked its witnesses. */
function checkPolicy({ env: { WITNESS_POLICY: path } }: Config, next: string): void {
  if (path === undefined) return;
  try {
    loadWitnessPolicy(path, next);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new EnvironmentError(`${error.message}. Nothing was replaced; the next key, for a second log line: ${next}`);
  }
}

function inWords({ from, to, receipt }: Replaced, { old, left }: Kept, { destroyOld }: RotateLogKeyOptions): string[] {
  return [
    receipt ? `replaced at log index ${receipt.index}; from now on the log signs with` : 'the log signs already with',
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
