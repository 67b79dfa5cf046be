import { type Command } from 'commander';
import type { DemoOptions } from './service/demo.js';
import type { VerifyOptions } from './ledger/verify.js';
import type { ExportOptions } from './ledger/export.js';
import type { VkeyOptions } from './ledger/vkey.js';
import type { ImportCommandOptions } from './service/import.js';
import { type Done, help, json, progress } from './program-help.js';
import type { CommonOptions, Terminal } from './terminal.js';

/** What runs the service, and what is read from its ledger. */
export function addServiceCommands(program: Command, terminal: Terminal, done: Done): void {
  program
    .command('serve')
    .description('run the service: API, relay and workers, as ROLE says')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger serve', 'SQLite in ./data, a Redis found or started'],
        ['PORT=8080 DATABASE_URL=postgres://… REDIS_URL=redis://… rxledger serve', 'one of several processes'],
        ['ROLE=worker rxledger serve', 'the workers alone'],
      ),
    )
    .action(async (options: CommonOptions) =>
      done(await (await import('./service/serve.js')).runServe(options, terminal)),
    );

  program
    .command('demo')
    .description('play thirty days of two practices and two pharmacies, then keep serving')
    .option('--once', 'stop after the verification')
    .addOption(json())
    .addHelpText(
      'after',
      help(['rxledger demo', 'prints address and sign-ins'], ['rxledger demo --once', 'ends with the verification']),
    )
    .action(async (options: DemoOptions) => done(await (await import('./service/demo.js')).runDemo(options, terminal)));

  program
    .command('import')
    .description('record the MedicationRequests of FHIR R4 files as historical orders')
    .argument('<file...>', 'Bundles (transaction, batch, collection), NDJSON or single resources, in any order')
    .option('--zone <zone>', 'IANA time zone of organisations that are new here', 'UTC')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger import hospitals.json practitioners.json patient.json', 'files that belong together'],
        ['rxledger import --json export/*.ndjson', 'prints {recorded, alreadyThere, refused}'],
      ),
    )
    .action(async (files: string[], options: ImportCommandOptions) =>
      done(await (await import('./service/import.js')).runImport(files, options, terminal)),
    );

  program
    .command('export')
    .description('write the whole log as lines that anybody can verify')
    .option('--out <file>', 'write there (readable by its owner only) instead of to standard output')
    .option('--with-payloads', 'what happened too, IN THE CLEAR: whoever has the file can read it')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger export --out log.ndjson', 'entries only: nothing personal'],
        ['rxledger export | gzip > log.ndjson.gz', 'the lines are JSON, with and without --json'],
      ),
    )
    .action(async (options: ExportOptions) =>
      done(await (await import('./ledger/export.js')).runExport(options, terminal)),
    );

  program
    .command('vkey')
    .description("print the log's verifier key, for auditors to pin")
    .option('--chain-heads', 'the key of signed chain heads instead')
    .option('--all', 'every key that the log has had, oldest first, for receipts of then')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger vkey', 'origin+key id+public key'],
        ['rxledger vkey --json', '{log, vkey}'],
        ['rxledger vkey --all', 'more than one line where the key was replaced'],
        ['rxledger vkey --chain-heads', 'for `rxledger audit proof --chain-head-vkey`'],
      ),
    )
    .action(async (options: VkeyOptions) => done(await (await import('./ledger/vkey.js')).runVkey(options, terminal)));

  program
    .command('verify')
    .description('check every entry, link, commitment and read model of a database or an export')
    .argument('[path]', 'an export, a SQLite file or a data folder; without it the ledger of the settings')
    .option('--vkey <vkey>', 'the verifier key to trust')
    .option('--keys <folder>', 'the keys folder (default: beside the database)')
    .option('--entries-only', 'check no payloads, states and read models; without keys nothing else can be checked')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger verify', 'the ledger of DATA_DIR or DATABASE_URL, opened read-only'],
        ['rxledger verify log.ndjson --vkey "$VKEY"', 'an export; needs no account and no keys'],
        ['rxledger verify backup/rxledger.sqlite --json', 'where something is wrong, and what'],
        ['rxledger verify copy.sqlite --entries-only --vkey "$VKEY"', 'a database without its keys'],
      ),
    )
    .addHelpText(
      'after',
      `
A database whose keys are not there is checked as far as that goes and ends with 3, unless --entries-only says
that this is wanted. Without --vkey the key is taken from the keys folder and, where there is none, from the
database or export itself, which then vouches for itself: pin the key that \`rxledger vkey\` printed.`,
    )
    .action(async (path: string | undefined, options: VerifyOptions) =>
      done(await (await import('./ledger/verify.js')).runVerify(path, options, terminal)),
    );

  program
    .command('administrator')
    .description('make the first administrator of a new installation; prints the password once')
    .argument('<username>', '3 to 64 letters, digits or . _ @ -')
    .option('--name <name>', 'as others see it')
    .addOption(json())
    .addHelpText(
      'after',
      help(['NODE_ENV=production rxledger administrator ada --name "Ada Root"', 'username and password']),
    )
    .action(async (username: string, options: CommonOptions & { name?: string }) =>
      done(await (await import('./service/administrator.js')).runAdministrator(username, options, terminal)),
    );
}
