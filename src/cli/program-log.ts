import { type Command, Option } from 'commander';
import type { ExportOptions } from './ledger/export.js';
import type { RestartOptions } from './ledger/restart.js';
import type { RestoreOptions } from './ledger/restore.js';
import type { RotateKeyOptions } from './ledger/rotate-key.js';
import type { VerifyOptions } from './ledger/verify.js';
import type { VkeyOptions } from './ledger/vkey.js';
import { type Done, help, json, progress, yes } from './program-help.js';
import type { Terminal } from './terminal.js';

/** The commands of `rxledger log`: reading the log, and its upkeep. */
export function addLogCommands(program: Command, terminal: Terminal, done: Done): void {
  const log = program
    .command('log')
    .description('verify and export the log, replace its key, bring it back after a loss')
    .addHelpText(
      'after',
      help(
        ['rxledger log verify', 'checks the ledger of the settings'],
        ['rxledger log vkey', 'the key that auditors pin'],
      ),
    );
  addReading(log, terminal, done);
  addLife(log, terminal, done);
}

function addReading(log: Command, terminal: Terminal, done: Done): void {
  log
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
        ['rxledger log verify', 'the ledger of DATA_DIR or DATABASE_URL, opened read-only'],
        ['rxledger log verify log.ndjson --vkey "$VKEY"', 'an export; needs no account and no keys'],
        ['rxledger log verify backup/rxledger.sqlite --json', 'where something is wrong, and what'],
        ['rxledger log verify copy.sqlite --entries-only --vkey "$VKEY"', 'a database without its keys'],
      ),
    )
    .addHelpText(
      'after',
      `
A database without its keys is checked as far as possible; the command then ends with 3. --entries-only says that
this is wanted: then it ends with 0. Without --vkey the key comes from the keys folder. Where there is none, it comes
from the database or export itself, which then vouches for itself: pin the key that \`rxledger log vkey\` printed.`,
    )
    .action(async (path: string | undefined, options: VerifyOptions) =>
      done(await (await import('./ledger/verify.js')).runVerify(path, options, terminal)),
    );

  log
    .command('export')
    .description('write the whole log as lines that anybody can verify')
    .option('--out <file>', 'write to this file, readable by its owner only, instead of standard output')
    .option('--with-payloads', 'add what happened, IN THE CLEAR: whoever has the file can read it')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger log export --out log.ndjson', 'entries only: nothing personal'],
        ['rxledger log export | gzip > log.ndjson.gz', 'the lines are JSON, with and without --json'],
      ),
    )
    .action(async (options: ExportOptions) =>
      done(await (await import('./ledger/export.js')).runExport(options, terminal)),
    );

  log
    .command('vkey')
    .description("print the log's verifier key, for auditors to pin")
    .option('--chain-heads', 'print the key of signed chain heads instead')
    .option('--all', 'print every key that the log has had, oldest first; old receipts need them')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger log vkey', 'origin+key id+public key'],
        ['rxledger log vkey --json', '{log, vkey}'],
        ['rxledger log vkey --all', 'more than one line where the key was replaced'],
        ['rxledger log vkey --chain-heads', 'for `rxledger audit proof --chain-head-vkey`'],
      ),
    )
    .action(async (options: VkeyOptions) => done(await (await import('./ledger/vkey.js')).runVkey(options, terminal)));
}

function addLife(log: Command, terminal: Terminal, done: Done): void {
  log
    .command('rotate-key')
    .description("replace the key that signs the log, beside a running service; the log's name stays")
    .option('--prepare', 'only make the next key and print its verifier key, for witnesses and auditors to add')
    .option('--destroy-old', 'then destroy the old key; without it the keys folder keeps it under another name')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger log rotate-key --prepare', 'days before: tell the key to witnesses and auditors'],
        ['rxledger log rotate-key --destroy-old', 'the prepared key signs from now on'],
        ['rxledger log rotate-key --json', 'prints {log, from, to, index, old, receipt, left}'],
      ),
    )
    .addHelpText(
      'after',
      `
The log records the old and the new verifier key in a statement that both keys sign; /log/rotations serves it. The next
checkpoint carries both signatures. All processes of the log must see the same keys folder: they take over the new key by
themselves. A process that does not find it answers writes with 503.

Whoever has pinned the old key: \`rxledger audit follow\` moves on and says so; \`rxledger log verify\` and
\`rxledger audit proof --rotations\` accept the old key as the beginning. Earlier receipts hold under the old key for
ever. Witnesses and WITNESS_POLICY need the new key as a second log line; without it they stop cosigning.

A copy of the old key in a backup can still sign: destroy it there too. If the command is interrupted, run it again: it
ends what it began and replaces no key twice; until then --prepare is refused. With --json, from, index and receipt are
null only where \`rxledger log restart\` was interrupted.`,
    )
    .action(async (options: RotateKeyOptions) =>
      done(await (await import('./ledger/rotate-key.js')).runRotateKey(options, terminal)),
    );

  log
    .command('restore')
    .description('bring back what a database restored from an old backup lost; stop the service first')
    .option('--replica <folder|url>', 'where the entries are: the folder of `audit follow --replica`, or a URL')
    .addOption(
      new Option('--payloads <file...>', 'exports with payloads, and saved answers or receipts').default([], 'none'),
    )
    .option('--token <file>', "an auditor's access token: a service gives entries to auditors only")
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        [
          'rxledger log restore --replica rx --payloads yesterday.jsonl answer-*.json',
          'refused where no file holds a lost payload',
        ],
        [
          'rxledger log restore --replica rx --payloads all.jsonl --json',
          'prints {log, vkey, before, size, verified, …}',
        ],
        [
          'rxledger log restore --replica https://copy.example --token t --json',
          'refused: {refused, missing, written}',
        ],
      ),
    )
    .addHelpText(
      'after',
      `
For a database that is older than its head file: the service does not start on it. Entries and payloads may come from
anybody, because they are checked. Entries must give the root of the head file's newest checkpoint, which the log has
signed; payloads must be what the entries commit to.

Every lost entry needs its payload from a file: \`rxledger log export --with-payloads\`, a kept answer or a kept receipt.
A replica holds what was published. What was written in the last seconds before the loss comes from those files too, and
without a replica everything does. Where anything is missing, nothing is written; \`rxledger log restart\` then goes on
without what was lost. Afterwards records, names, tokens and claim secrets are what they were, under the same log name and
key; receipts hold, and the whole database is verified.

Not brought back: an erasure or a new log key in the lost part. Not in the log, and therefore not brought back either:
accounts, organisations, clients and cosignatures since the backup; disabled accounts and replaced client keys (do that
again); remembered requests: whoever repeats a request from that time records it a second time.
The lost part is held in memory. If the command is interrupted, run it again.`,
    )
    .action(async (options: RestoreOptions) =>
      done(await (await import('./ledger/restore.js')).runRestore(options, terminal)),
    );

  log
    .command('restart')
    .description('end a log whose database was set back, and go on as a new log; stop the service first')
    .option('--as <origin>', 'the new name (default: LOG_ORIGIN where that is a new one, otherwise a random one)')
    .addOption(yes())
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger log restart', 'says what ends, and asks'],
        [
          'rxledger log restart --as example.org/rxledger-2 --yes --json',
          'prints {log, vkey, continues, entries, lost, headFile, oldKeys}',
        ],
      ),
    )
    .addHelpText(
      'after',
      `
Try \`rxledger log restore\` first: it brings back what somebody has kept. This command is for what nobody has kept.
It is refused where the head file remembers no more entries than the database holds.

What is left is verified. Then the log records, signed by the new key and the old one, which log it continues and with
how many of how many entries; /log/continued serves that. Records, tokens and accounts go on. What was lost stays lost,
and that shows: whoever has a receipt for it has the proof.

What the lost part had ended is in force again; do it again: retention holds, disabled accounts and clients, replaced
client keys. Erasures and revoked signing keys are repeated at the next start, as far as the files \`erased\` and
\`revoked\` of this machine name them.

The new log is another log: \`rxledger audit follow\` with the old key raises an alarm. Witnesses, auditors and
WITNESS_POLICY need the new key by a decision of their own. Set LOG_ORIGIN, if it is set, to the new name.
If the command is interrupted, run it again. Without a terminal it needs --yes.`,
    )
    .action(async (options: RestartOptions) =>
      done(await (await import('./ledger/restart.js')).runRestart(options, terminal)),
    );
}
