import { existsSync } from 'node:fs';
import { CHAIN_MODELS } from '../../chain-models.js';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { importFiles, type ImportCounts } from '../../import/importer.js';
import { IMPORT_REASONS } from '../../import/reasons.js';
import { openLedger } from '../../ledger/start/open-ledger.js';
import { isZone } from '../../time/legal-days.js';
import { REFUSALS } from '../../refusals/refusals.js';
import {
  type CommonOptions,
  EnvironmentError,
  EXIT,
  type ExitCode,
  ProgressLine,
  type Terminal,
  UsageError,
} from '../terminal.js';

export interface ImportCommandOptions extends CommonOptions {
  readonly zone: string;
}

/** Refusals that are listed for people; `--json` has them all. */
const LISTED = 50;

/** `rxledger import`: takes turns with a service that writes to the same ledger. */
export async function runImport(
  files: readonly string[],
  options: ImportCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  if (!isZone(options.zone)) throw new UsageError(`--zone: ${options.zone} is no IANA time zone`);
  for (const file of files) if (!existsSync(file)) throw new EnvironmentError(`there is no ${file}`);
  const progress = new ProgressLine(terminal, options);
  const ledger = await openLedger(Config.parse(terminal.env), new Clock(), CHAIN_MODELS, (event, detail) =>
    terminal.err(`${event} ${JSON.stringify(detail)}`),
  );
  try {
    const counts = await importFiles(files, ledger, {
      zone: options.zone,
      onProgress: (phase, so) =>
        progress.show(() =>
          phase === 'reading'
            ? `reading: ${so.resources} resources, ${so.patients.enrolled} patients enrolled`
            : `recording: ${so.recorded} orders, ${so.alreadyThere} already there, ${so.refused.length} refused`,
        ),
    });
    progress.done();
    const { recorded, alreadyThere, refused } = counts;
    if (options.json) terminal.out(JSON.stringify({ recorded, alreadyThere, refused }));
    else for (const line of inWords(counts)) terminal.out(line);
    return refused.length > 0 ? EXIT.finding : EXIT.ok;
  } finally {
    await ledger.close();
  }
}

function inWords({ recorded, alreadyThere, refused, patients, resources, ignored }: ImportCounts): string[] {
  const more = refused.length - LISTED;
  return [
    ...refused.slice(0, LISTED).map(({ source, reason }) => `refused  ${source}  ${reason}: ${sentence(reason)}`),
    ...(more > 0 ? [`refused  … and ${more} more; --json lists them all`] : []),
    `${recorded} orders recorded, ${alreadyThere} already there, ${refused.length} refused`,
    `${patients.enrolled} patients enrolled, ${patients.alreadyThere} known; ${resources} resources read, ${ignored} of types that are not imported`,
  ];
}

function sentence(reason: string): string {
  const sentences: Readonly<Record<string, string>> = IMPORT_REASONS;
  const titles: Readonly<Record<string, { title: string }>> = REFUSALS;
  return sentences[reason] ?? titles[reason]?.title ?? 'The service refused it.';
}
