import { isKeyName } from '../../ledger/core/tlog/note.js';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Clock } from '../../time/clock.js';
import { existingLedger } from './open-log.js';
import { type Continued, RestartRefused, restartLog, type Ending } from '../../ledger/upkeep/restart.js';
import {
  agrees,
  sentence,
  type CommonOptions,
  EXIT,
  type ExitCode,
  ProgressLine,
  type Terminal,
  UsageError,
} from '../terminal.js';

export interface RestartOptions extends CommonOptions {
  readonly as?: string;
  readonly yes?: boolean;
}

/** `rxledger log restart`: ends a log that was set back. A new log continues it and records that for ever. */
export async function runRestart(options: RestartOptions, terminal: Terminal): Promise<ExitCode> {
  const { as: origin = null } = options;
  if (origin !== null && !isKeyName(origin))
    throw new UsageError('--as: a log has a name without spaces and plus signs');
  const config = await existingLedger(terminal);
  const line = new ProgressLine(terminal, options);
  try {
    const done = await restartLog(config, new Clock(), CHAIN_MODELS, origin, {
      report: (event, detail) => terminal.err(`${event} ${JSON.stringify(detail)}`),
      progress: (step) => line.show(() => `verifying ${step.step}: ${step.done} of ${step.total}`),
      agree: (ending) => {
        line.done();
        return agreed(ending, options, terminal);
      },
    });
    line.done();
    if (options.json) terminal.out(JSON.stringify(inJson(done)));
    else for (const words of inWords(done)) terminal.out(words);
    return EXIT.ok;
  } catch (error) {
    line.done();
    if (!(error instanceof RestartRefused)) throw error;
    terminal.err(`${sentence(error.message)} Nothing was changed.`);
    return EXIT.finding;
  }
}

/** Shows what ends, and asks for confirmation. @throws {UsageError} without a terminal, unless `--yes` is given */
async function agreed(
  { log, entries, lost, next }: Ending,
  { yes }: RestartOptions,
  terminal: Terminal,
): Promise<boolean> {
  terminal.err(`The log ${log} ends for good. ${next} goes on from it, under a new key.`);
  terminal.err(
    `It keeps ${entries} entries. The ${lost} newest are lost: \`rxledger log restore\` may still bring them back.`,
  );
  if (yes) return true;
  if (!terminal.ask)
    throw new UsageError('nobody is at a terminal to agree: repeat the command with --yes. Nothing was changed.');
  return agrees(terminal.ask, `End ${log}?`);
}

function inJson({ said, headFile, oldKeys }: Continued) {
  const { origin: log, to: vkey, oldOrigin, from, size: entries, remembered, bothSigned } = said;
  return {
    log,
    vkey,
    continues: { log: oldOrigin, vkey: from, bothSigned },
    entries,
    lost: remembered.size - entries,
    headFile,
    oldKeys,
  };
}

function inWords({ said, headFile, oldKeys }: Continued): string[] {
  const { origin, to, oldOrigin, size, remembered, bothSigned } = said;
  return [
    `${oldOrigin} goes on as ${origin}, with ${size} of its ${remembered.size} entries; its key:`,
    `  ${to}`,
    `${bothSigned ? 'old and new key have' : 'only the new key has'} signed that, at log index ${size}; /log/continued serves it`,
    ...(headFile === null ? [] : [`the previous head file is kept: ${headFile}`]),
    ...(oldKeys.length === 0
      ? []
      : [`old keys are still in the keys folder: ${oldKeys.join(', ')}; they sign nothing any more, destroy them`]),
    'what was done since the backup is undone, do it again: retention holds, disabled accounts and clients, replaced client keys; nobody knows any more who broke the glass (break-glass)',
    'erasures and revoked signing keys are repeated at the next start, as far as the files erased and revoked of this machine name them',
    'witnesses, WITNESS_POLICY, LOG_ORIGIN and whoever pins the key or that of chain heads (rxledger log vkey) need the new one',
  ];
}
