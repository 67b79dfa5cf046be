import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { importFiles, type ImportCounts } from '../../import/importer.js';
import { IMPORT_REASONS } from '../../import/reasons.js';
import { rehearsal } from '../../import/rehearsal.js';
import type { ImportTarget } from '../../import/target.js';
import { dbOf } from '../../database/db.js';
import { Vault } from '../../ledger/keys/vault.js';
import { LedgerReader } from '../../ledger/ledger.reader.js';
import { readKeyHistory } from '../../ledger/read/key-history.js';
import { mayExist, withLedger, withLog } from '../ledger/open-log.js';
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
  readonly dryRun?: boolean;
}

/** Limit on the refusals listed for people; `--json` has all. */
const LISTED = 50;

/** `rxledger import`: works beside a running service on the same ledger; with `--dry-run` it only reads. */
export async function runImport(
  files: readonly string[],
  options: ImportCommandOptions,
  terminal: Terminal,
): Promise<ExitCode> {
  if (!isZone(options.zone)) throw new UsageError(`--zone: ${options.zone} is no IANA time zone`);
  for (const file of files) if (!existsSync(file)) throw new EnvironmentError(`there is no ${file}`);
  const progress = new ProgressLine(terminal, options);
  const would = options.dryRun ? 'would be ' : '';
  return (options.dryRun ? withRehearsal : withLedger)(Config.parse(terminal.env), terminal, async (target) => {
    const counts = await importFiles(files, target, {
      zone: options.zone,
      onProgress: (phase, so) =>
        progress.show(() =>
          phase === 'reading'
            ? `reading: ${counted(so.resources, 'resource')}, ${counted(so.patients.enrolled, 'patient')} ${would}enrolled`
            : `recording: ${counted(so.recorded, 'order')}, ${so.alreadyThere} already there, ${so.refused.length} refused`,
        ),
    });
    progress.done();
    const { recorded, alreadyThere, refused } = counts;
    if (options.json)
      terminal.out(JSON.stringify({ ...(options.dryRun && { dryRun: true }), recorded, alreadyThere, refused }));
    else for (const line of inWords(counts, would)) terminal.out(line);
    if (options.dryRun && !options.json) terminal.out('nothing was recorded (--dry-run)');
    return refused.length > 0 ? EXIT.finding : EXIT.ok;
  });
}

/** The configured ledger, opened read-only. If there is none yet, an empty temporary one. */
async function withRehearsal<T>(
  config: Config,
  terminal: Terminal,
  work: (target: ImportTarget) => Promise<T>,
): Promise<T> {
  if (!mayExist(config)) {
    const folder = await mkdtemp(join(tmpdir(), 'rxledger-dry-run-'));
    try {
      const empty = Config.parse({ DATA_DIR: folder });
      return await withLedger(empty, terminal, (ledger) => work(rehearsal(ledger, new Clock())));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return withLog(config, async ({ source, head }) => {
    const db = dbOf(source);
    const vault = Vault.openExisting(config.keysDir, (await readKeyHistory(db, head.origin)).first);
    if (!vault) throw new EnvironmentError(`there are no keys in ${config.keysDir}`);
    return work(rehearsal({ reader: new LedgerReader(db, vault, head.origin), db, vault }, new Clock()));
  });
}

function inWords(
  { recorded, alreadyThere, refused, patients, resources, ignored }: ImportCounts,
  would: string,
): string[] {
  const more = refused.length - LISTED;
  return [
    ...refused.slice(0, LISTED).map(({ source, reason }) => `refused  ${source}  ${reason}: ${sentence(reason)}`),
    ...(more > 0 ? [`refused  … and ${more} more; --json lists them all`] : []),
    `${counted(recorded, 'order')} ${would}recorded, ${alreadyThere} already there, ${refused.length} refused`,
    `${counted(patients.enrolled, 'patient')} ${would}enrolled, ${patients.alreadyThere} known; ${counted(resources, 'resource')} read, ${ignored} of types that are not imported`,
  ];
}

const counted = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? '' : 's'}`;

function sentence(reason: string): string {
  const sentences: Readonly<Record<string, string>> = IMPORT_REASONS;
  const titles: Readonly<Record<string, { title: string }>> = REFUSALS;
  return sentences[reason] ?? titles[reason]?.title ?? 'The service refused it.';
}
