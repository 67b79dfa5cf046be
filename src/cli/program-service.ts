import { type Command } from 'commander';
import type { DemoOptions } from './service/demo.js';
import type { ImportCommandOptions } from './service/import.js';
import { type Done, help, json, progress } from './program-help.js';
import type { CommonOptions, Terminal } from './terminal.js';

/** The commands that run the service and bring data into it. */
export function addServiceCommands(program: Command, terminal: Terminal, done: Done): void {
  program
    .command('serve')
    .description('run the service: API, relay and workers, as ROLE says')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger serve', 'SQLite in ./data, a Redis that is found or started'],
        ['PORT=8080 DATABASE_URL=postgres://… REDIS_URL=redis://… rxledger serve', 'one of several processes'],
        ['ROLE=worker rxledger serve', 'only the workers'],
        ['rxledger serve --json', 'prints {address, signIns}, then serves'],
      ),
    )
    .action(async (options: CommonOptions) =>
      done(await (await import('./service/serve.js')).runServe(options, terminal)),
    );

  program
    .command('demo')
    .description('play thirty days of two practices and two pharmacies, then keep serving')
    .option('--once', 'end after the verification')
    .addOption(json())
    .addHelpText(
      'after',
      help(['rxledger demo', 'prints address and sign-ins'], ['rxledger demo --once', 'ends with the verification']),
    )
    .addHelpText(
      'after',
      `
Each demo has a new folder in DATA_DIR, and removes the folders of earlier demos that run no more.
Where no Redis is found, root on Debian or Ubuntu gets one through apt-get; the demo says so first.`,
    )
    .action(async (options: DemoOptions) => done(await (await import('./service/demo.js')).runDemo(options, terminal)));

  program
    .command('import')
    .description('record the MedicationRequests of FHIR R4 files as historical orders')
    .argument('<file...>', 'Bundles (transaction, batch, collection), NDJSON or single resources, in any order')
    .option('--zone <zone>', 'IANA time zone of organisations that are new here', 'UTC')
    .option('--dry-run', 'report what an import would do, and record nothing')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger import hospitals.json practitioners.json patient.json', 'files that belong together'],
        ['rxledger import --dry-run export/*.ndjson', 'what would be recorded, and what refused; --json adds dryRun'],
        ['rxledger import --json export/*.ndjson', 'prints {recorded, alreadyThere, refused}'],
      ),
    )
    .action(async (files: string[], options: ImportCommandOptions) =>
      done(await (await import('./service/import.js')).runImport(files, options, terminal)),
    );

  program
    .command('rebuild')
    .description('make the lists anew from the events, beside a service at work')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger rebuild', 'says how many rows it made; then `rxledger log verify` finds none that is missing'],
        ['rxledger rebuild --json', 'prints {version, chains, rows}'],
      ),
    )
    .addHelpText(
      'after',
      `
A service that is newer than its lists does this at its start. Until the end readers see the previous rows.
Interrupted, it leaves nothing behind: run it again.`,
    )
    .action(async (options: CommonOptions) =>
      done(await (await import('./service/rebuild.js')).runRebuild(options, terminal)),
    );
}
