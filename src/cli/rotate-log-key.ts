import { CHAIN_MODELS } from '../chain-models.js';
import { Clock } from '../config/clock.js';
import { Config, ConfigError } from '../config/config.js';
import { dbOf } from '../database/db.js';
import { readKeyHistory } from '../ledger/key-history.js';
import type { LogKey } from '../ledger/log-key.js';
import { preparedKey, prepareKey, settleKey } from '../ledger/log-keys.js';
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
  /** File of the old key in the keys folder; null when there is none any more. */
  readonly old: string | null;
  /** Of the log chain's event, under the checkpoint that both keys have signed. */
  readonly receipt: Receipt | null;
}

/** `rxledger rotate-log-key`: the log goes on under a new key that the old one has vouched for. */
export async function runRotateLogKey(options: RotateLogKeyOptions, terminal: Terminal): Promise<ExitCode> {
  const config = Config.parse(terminal.env);
  const { origin, vkey, before } = await withLog(config, async ({ source, head }) => {
    const { vkeysNow: vkeys } = await readKeyHistory(dbOf(source), head.origin);
    return { ...head, before: vkeys.at(-2) ?? null };
  });
  const begun = preparedKey(config.keysDir, origin);
  if (options.prepare) {
    // One that signs already was left behind by a crash: it is not the next one.
    if (begun?.vkey === vkey) settleKey(config.keysDir, begun, before, true);
    return prepared(prepareKey(config.keysDir, origin), options, terminal);
  }
  // Interrupted after the log had taken it: what is left is the file's name.
  const replaced =
    begun?.vkey === vkey ? finished(config, begun, before, options) : await replace(config, origin, options, terminal);
  if (!replaced) {
    terminal.err('another process has replaced the key meanwhile: nothing was done');
    return EXIT.finding;
  }
  if (options.json) terminal.out(JSON.stringify({ ...replaced, index: replaced.receipt?.index ?? null }));
  else for (const line of inWords(replaced, options)) terminal.out(line);
  return EXIT.ok;
}

function finished(
  { keysDir }: Config,
  key: LogKey,
  from: string | null,
  { destroyOld }: RotateLogKeyOptions,
): Replaced {
  const old = settleKey(keysDir, key, from, !destroyOld);
  return { log: key.origin, from, to: key.vkey, old, receipt: null };
}

function prepared(key: LogKey, { json }: CommonOptions, terminal: Terminal): ExitCode {
  const { origin, vkey } = key;
  terminal.out(json ? JSON.stringify({ log: origin, next: vkey }) : vkey);
  return EXIT.ok;
}

async function replace(
  config: Config,
  log: string,
  { destroyOld }: RotateLogKeyOptions,
  terminal: Terminal,
): Promise<Replaced | null> {
  const ledger = await openLedger(config, new Clock(), CHAIN_MODELS, (event, detail) =>
    terminal.err(`${event} ${JSON.stringify(detail)}`),
  );
  try {
    const from = ledger.writer.vkey;
    const next = prepareKey(config.keysDir, log);
    checkPolicy(config, next.vkey);
    const receipt = await ledger.writer.replaceKey(next);
    if (!receipt) return null;
    const old = settleKey(config.keysDir, next, from, !destroyOld);
    return { log, from, to: next.vkey, old, receipt };
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

function inWords({ from, to, old, receipt }: Replaced, { destroyOld }: RotateLogKeyOptions): string[] {
  return [
    receipt ? `replaced at log index ${receipt.index}; from now on the log signs with` : 'the log signs already with',
    `  ${to}`,
    ...(from === null ? [] : [`  before: ${from}`]),
    destroyOld && old === null && from !== null
      ? 'the old key is destroyed; copies of it in backups of the keys folder are yours to destroy'
      : `the old key may still be in the keys folder${old === null ? '' : `: ${old}`}; it signs nothing any more, destroy it`,
    'witnesses, WITNESS_POLICY and whoever pins the key need the new one',
  ];
}
