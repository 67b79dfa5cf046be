import { isKeyName } from '../../ledger/core/tlog/note.js';
import { existsSync } from 'node:fs';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { type Continued, ContinueRefused, continueLog } from '../../ledger/upkeep/continue.js';
import {
  type CommonOptions,
  EnvironmentError,
  EXIT,
  type ExitCode,
  ProgressLine,
  type Terminal,
  UsageError,
} from '../terminal.js';

export interface ContinueOptions extends CommonOptions {
  readonly origin?: string;
}

/** `rxledger continue`: a log that was set back goes on as another one, which says so for ever. */
export async function runContinue(options: ContinueOptions, terminal: Terminal): Promise<ExitCode> {
  const { origin = null } = options;
  if (origin !== null && !isKeyName(origin))
    throw new UsageError('--origin: not a name of a log (no spaces, no plus sign)');
  const config = Config.parse(terminal.env);
  if (!config.postgresUrl && !existsSync(config.sqliteFile))
    throw new EnvironmentError(`there is no ledger at ${config.sqliteFile}`);
  const line = new ProgressLine(terminal, options);
  const report = (event: string, detail: object): void => terminal.err(`${event} ${JSON.stringify(detail)}`);
  try {
    const done = await continueLog(config, new Clock(), CHAIN_MODELS, origin, report, (step) =>
      line.show(() => `verifying ${step.step}: ${step.done} of ${step.total}`),
    );
    line.done();
    if (options.json) terminal.out(JSON.stringify(inJson(done)));
    else for (const words of inWords(done)) terminal.out(words);
    return EXIT.ok;
  } catch (error) {
    line.done();
    if (!(error instanceof ContinueRefused)) throw error;
    terminal.err(`${error.message}. Nothing was changed.`);
    return EXIT.finding;
  }
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
    ...(headFile === null ? [] : [`the head file of before is kept: ${headFile}`]),
    ...(oldKeys.length === 0
      ? []
      : [`old keys are still in the keys folder: ${oldKeys.join(', ')}; they sign nothing any more, destroy them`]),
    'what was done since the backup is undone, do it again: retention holds, disabled accounts and clients, replaced keys of clients; nobody knows any more who broke the glass (break-glass)',
    'erasures and revoked keys of actors are done again at the next start, as far as the files erased and revoked of this machine name them',
    'witnesses, WITNESS_POLICY, LOG_ORIGIN and whoever pins the key or that of chain heads (rxledger vkey) need the new one',
  ];
}
