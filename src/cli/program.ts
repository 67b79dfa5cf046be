import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { DemoOptions } from './demo.js';
import type { ProofVerifyOptions } from './proof.js';
import type { FollowCommandOptions, TrustOptions } from './follow.js';
import type { KeygenOptions } from './keygen.js';
import type { RotateOptions } from './rotate-kek.js';
import type { ContinueOptions } from './continue.js';
import type { RotateLogKeyOptions } from './rotate-log-key.js';
import type { SignOptions } from './sign.js';
import type { VerifyOptions } from './verify.js';
import type { ExportOptions } from './export.js';
import type { VkeyOptions } from './vkey.js';
import type { WitnessOptions } from './witness.js';
import type { ImportCommandOptions } from './import.js';
import { type CommonOptions, EXIT, type ExitCode, type Terminal } from './terminal.js';

const EXIT_CODES = `
Exit codes:
  0  done
  1  done, and something was found or refused
  2  the command line does not fit
  3  settings, files, database or Redis do not let it work`;

const json = () => new Option('--json', 'print one JSON document instead of lines for people');
const vkeys = (what: string) =>
  new Option('--vkey <vkey>', `${what}; may be repeated where the log has replaced its key`)
    .argParser((vkey: string, others: string[]) => [...others, vkey])
    .default([], 'none');
const progress = () => new Option('--progress', 'say on standard error how far it is (default: on a terminal)');

function help(...examples: [command: string, what: string][]): string {
  const width = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, what]) => `  $ ${command.padEnd(width)}  # ${what}`);
  return `\nExamples:\n${lines.join('\n')}\n${EXIT_CODES}`;
}

/**
 * Every command with its help. What a command does is loaded only when it runs.
 * @param done told how the command that ran has ended
 */
export function buildProgram(terminal: Terminal, done: (code: ExitCode) => void): Command {
  const program = new Command('rxledger')
    .description('Pharmacy prescription tracking on a tamper-evident ledger.')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .exitOverride()
    .showHelpAfterError('(rxledger --help says what there is)')
    .addHelpText('after', `\nSettings are environment variables; see README.md.\n${EXIT_CODES}`);

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
    .action(async (options: CommonOptions) => done(await (await import('./serve.js')).runServe(options, terminal)));

  program
    .command('demo')
    .description('play thirty days of two practices and two pharmacies, then keep serving')
    .option('--once', 'stop after the verification')
    .addOption(json())
    .addHelpText(
      'after',
      help(['rxledger demo', 'prints address and sign-ins'], ['rxledger demo --once', 'ends with the verification']),
    )
    .action(async (options: DemoOptions) => done(await (await import('./demo.js')).runDemo(options, terminal)));

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
      done(await (await import('./import.js')).runImport(files, options, terminal)),
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
    .action(async (options: ExportOptions) => done(await (await import('./export.js')).runExport(options, terminal)));

  program
    .command('vkey')
    .description("print the log's verifier key, for auditors to pin")
    .option('--chain-heads', 'the key of signed chain heads and lists instead')
    .option('--all', 'every key that the log has had, oldest first, for receipts of then')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger vkey', 'origin+key id+public key'],
        ['rxledger vkey --json', '{log, vkey}'],
        ['rxledger vkey --all', 'more than one line where the key was replaced'],
        ['rxledger vkey --chain-heads', 'for `rxledger proof verify --chain-head-vkey`'],
      ),
    )
    .action(async (options: VkeyOptions) => done(await (await import('./vkey.js')).runVkey(options, terminal)));

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
      done(await (await import('./verify.js')).runVerify(path, options, terminal)),
    );

  program
    .command('proof')
    .description('check what people keep to show what was recorded')
    .command('verify')
    .description(
      'check receipts, disclosures, tlog-proofs, signed chain heads and lists offline: no ledger, no network, no settings',
    )
    .argument(
      '<file...>',
      'answers as they were saved, receipts, disclosures, .tlog-proof files, chain heads and lists',
    )
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted logs, witnesses and the quorum that is needed (C2SP tlog-policy)')
    .option(
      '--continued <file>',
      'of a log that goes on under another name, what it continues (GET /log/continued): for entries of before',
    )
    .option('--rotations <file>', "how the log's key was replaced (GET /log/rotations): trust passes on along it")
    .option('--entry <file>', 'the bytes of the entry that a tlog-proof is about')
    .option('--chain-head-vkey <vkey>', 'the verifier key of chain heads and lists to trust')
    .option('--actor-key <file>', 'public keys (JWK) that the actor gave you: what is recorded must be signed with one')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger proof verify answer.json --vkey "$VKEY"', 'the saved answer to a write, or its receipt'],
        ['rxledger proof verify answer.json --policy policy.txt --json', 'only with a quorum of witnesses'],
        ['rxledger proof verify disclosure.json --vkey "$VKEY"', 'what it shows, and that the rest is withheld'],
        ['rxledger proof verify e.tlog-proof --entry e.jcs --vkey "$VKEY"', 'a proof and its entry'],
        ['rxledger proof verify answer.json head.json --vkey "$VKEY" --chain-head-vkey "$HEADS"', 'is it withheld?'],
        ['rxledger proof verify answer.json --vkey "$VKEY" --actor-key doctor.jwk', 'and has the doctor signed it?'],
      ),
    )
    .addHelpText(
      'after',
      `
Trust comes from the options alone, never from the files: pin the keys that \`rxledger vkey\` and
\`rxledger vkey --chain-heads\` printed, or write a policy:

  log <vkey of the log>
  witness w1 <vkey>
  witness w2 <vkey>
  witness w3 <vkey>
  group witnesses 2 w1 w2 w3
  quorum witnesses

committed: the log has signed a tree with this entry. witnessed: a quorum of the policy's witnesses has cosigned it.
What does not hold is named: form, checkpoint, log, entry, inclusion, payload, members, quorum, signature, and with
--actor-key actor-signature and actor-unknown (whether the key was in force only the log's own chain says); between
a receipt and a chain head or list: withheld, unlisted, differs.`,
    )
    .action(async (files: string[], options: ProofVerifyOptions) =>
      done(await (await import('./proof.js')).runProofVerify(files, options, terminal)),
    );

  program
    .command('rotate-kek')
    .description('make a new key-encryption key and rewrap all subject keys under it, beside a service at work')
    .option('--destroy-old', 'then destroy the older ones, once no write that began before is on its way (a minute)')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger rotate-kek --destroy-old', 'completes the erasures so far'],
        ['rxledger rotate-kek --json', 'prints {kek, rewrapped, destroyed, emptied}'],
      ),
    )
    .addHelpText(
      'after',
      `
An erasure is complete only once the key-encryption keys that were there before it are destroyed: until then a
backup of the database and those keys together give the erased data back. --destroy-old removes them from the keys
folder and for good: a backup of the database from before can then be opened only with a backup of the keys folder,
and as long as such a backup is kept, erasure is not complete. Never keep the keys in a backup of the database.
What is remembered of erased patients' requests is forgotten with it, and SQLite's write-ahead log is emptied; while
somebody reads the database that waits, and the command ends with 1: run it again.
All processes of the log must see the same keys folder; they take the new key over by themselves.`,
    )
    .action(async (options: RotateOptions) =>
      done(await (await import('./rotate-kek.js')).runRotateKek(options, terminal)),
    );

  program
    .command('rotate-log-key')
    .description("replace the key by which the log signs, beside a service at work; the log's name stays")
    .option('--prepare', 'only make the next key and print its verifier key, for witnesses and auditors to add')
    .option('--destroy-old', 'then destroy the old key; without it the keys folder keeps it under another name')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger rotate-log-key --prepare', 'days before: tell the key to witnesses and auditors'],
        ['rxledger rotate-log-key --destroy-old', 'the prepared key signs from now on'],
        ['rxledger rotate-log-key --json', 'prints {log, from, to, index, old, receipt}'],
      ),
    )
    .addHelpText(
      'after',
      `
The log's own chain records old and new verifier key in a statement that both keys sign, and the checkpoint right behind
it carries both signatures; /log/rotations serves them. All processes of the log must see the same keys folder: they take
the new key over by themselves, and one that does not find it there answers writes with 503. Who has pinned the old key:
\`rxledger follow\` moves on and says so, \`verify\` and \`proof verify --rotations\` accept the old key as the beginning;
receipts of before hold under the old key for ever. Witnesses and WITNESS_POLICY need the new key as a second log line:
without it they cosign no more. A copy of the old key in a backup still signs: destroy it there too.`,
    )
    .action(async (options: RotateLogKeyOptions) =>
      done(await (await import('./rotate-log-key.js')).runRotateLogKey(options, terminal)),
    );

  program
    .command('continue')
    .description('continue a log whose database was set back, under a new name and key; the service is stopped')
    .option('--origin <name>', 'the new name (default: a random one)')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger continue', 'asks nothing: refused where the head file remembers no more than the database holds'],
        [
          'rxledger continue --origin example.org/rxledger-2 --json',
          'prints {log, vkey, continues, entries, lost, headFile}',
        ],
      ),
    )
    .addHelpText(
      'after',
      `
For a database restored from a backup that is older than its head file: the service does not start on it, for under its
name it would fork. What is left is verified; then the log's own chain says, signed by the new key and the old one, which
log it continues, with how many of how many entries, and everything goes on: chains, states, tokens, accounts. What was lost
stays lost, and shows: whoever has a receipt of it has the proof. The new log is another one: \`follow\` with the old key
alarms and says so, and witnesses, auditors and WITNESS_POLICY need the new key by a decision of their own. /log/continued
serves the event. Set LOG_ORIGIN, where it is set, to the new name. Interrupted, run it again.`,
    )
    .action(async (options: ContinueOptions) =>
      done(await (await import('./continue.js')).runContinue(options, terminal)),
    );

  program
    .command('keygen')
    .description('make a key file, if it is not there, and print its public key: for POST /api/clients, a machine')
    .argument('<file>', 'the private key: 32 bytes that only its owner may read (0600); keep it, send it nowhere')
    .option('--actor', 'print it for POST /api/actor-keys: a key with which its owner signs what they record')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger keygen follower.key', 'prints {"keys": […]}: the member jwks of a new client'],
        ['rxledger keygen follower.key --json', 'the same in one line'],
        ['rxledger keygen mine.key --actor', 'prints {"jwk": …}; `rxledger sign` signs with it'],
      ),
    )
    .action(async (file: string, options: KeygenOptions) =>
      done(await (await import('./keygen.js')).runKeygen(file, options, terminal)),
    );

  program
    .command('sign')
    .description('sign the statement of what the service would record in your name')
    .argument('<file>', 'the answer `signature.required` as it was saved, or the statement in it')
    .requiredOption('--key <file>', 'your private key, of `rxledger keygen --actor`')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger sign answer.json --key mine.key', 'prints the JWS; what is signed on standard error'],
        ['rxledger sign answer.json --key mine.key --json', 'prints {jws, occurredAt}: the member signature'],
      ),
    )
    .addHelpText(
      'after',
      `
Whoever runs the service has made up the statement: compare it with what you mean before you sign. It is signed as
canonical JSON (RFC 8785) in a detached JWS (RFC 7515, RFC 7797).`,
    )
    .action(async (file: string, options: SignOptions) =>
      done(await (await import('./sign.js')).runSign(file, options, terminal)),
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
      done(await (await import('./administrator.js')).runAdministrator(username, options, terminal)),
    );

  program
    .command('witness')
    .description('cosign the checkpoints of logs, as an independent witness of them (C2SP tlog-witness)')
    .requiredOption('--dir <folder>', 'where its key and what it has cosigned stay; never set it back to a backup')
    .option('--name <name>', 'its name, a URL without scheme; needed the first time')
    .addOption(
      new Option('--log <vkey>', 'a log by its verifier key; may be repeated')
        .argParser((vkey: string, others: string[]) => [...others, vkey])
        .default([], 'none'),
    )
    .option('--logs <file>', "more logs, in the witness network's format logs/v0")
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .addOption(new Option('--port <port>', 'port to listen on; 0 takes a free one').argParser(readPort).default(7380))
    .option('--print-vkey', 'print the verifier key, for logs and auditors to pin, and end')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger witness --dir w1 --name w1.example --log "$VKEY"', 'VKEY is what `rxledger vkey` printed'],
        ['rxledger witness --dir w1 --logs logs.txt --port 8081', 'its name is in w1 already'],
        ['rxledger witness --dir w1 --name w1.example --print-vkey', 'makes the key if there is none'],
        ['rxledger witness --dir w1 --log "$VKEY" --json', 'prints {address, vkey, logs}, then serves'],
      ),
    )
    .action(async (options: WitnessOptions) =>
      done(await (await import('./witness.js')).runWitness(options, terminal)),
    );

  program
    .command('follow')
    .description('check a log as an auditor does, again and again, and remember what it has signed')
    .argument('<url>', 'where the service is reached, https://…')
    .requiredOption('--dir <folder>', 'where what was checked stays, and evidence; one log, one folder')
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted log, witnesses and the quorum that is needed (C2SP tlog-policy)')
    .option('--client-id <id>', 'sign in as this machine, an auditor: entries are not public')
    .option('--key <file>', 'its private key (`rxledger keygen` makes one)')
    .option('--audience <url>', 'what the service calls itself (its PUBLIC_URL), where that is not <url>')
    .option('--once', 'look once')
    .addOption(new Option('--interval <seconds>', 'pause between two looks').argParser(readSeconds).default(10))
    .option('--replica', 'keep tiles and entries in <folder>/log too, and serve them as /log (not with --once)')
    .option('--host <host>', "the replica's address", '127.0.0.1')
    .addOption(new Option('--port <port>', "the replica's port; 0 takes a free one").argParser(readPort).default(7381))
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger follow https://rx.example --dir rx --vkey "$VKEY" --client-id … --key f.key', 'until an alarm'],
        ['rxledger follow https://rx.example --dir rx --policy policy.txt --once --json …', 'one look, one line'],
        ['rxledger follow https://rx.example --dir rx --vkey "$VKEY" --replica --port 8080 …', 'an own copy'],
      ),
    )
    .addHelpText(
      'after',
      `
Ends with 1 at the first alarm; what shows it is in <folder>/evidence (\`rxledger evidence\` checks it elsewhere).
Alarms: signature, log (another log answers), rollback, fork, quorum (of --policy is not met), files (a tile or bundle
is not the signed one), entry (one breaks a rule). A log that is away ends a look with 3 under --once; without it the
next look is waited for. With --json a line a look.`,
    )
    .action(async (url: string, options: FollowCommandOptions) =>
      done(await (await import('./follow.js')).runFollow(url, options, terminal)),
    );

  program
    .command('evidence')
    .description('whether a file of evidence that `follow` kept convicts the log by its own signatures')
    .argument('<file>', 'from the folder evidence of a follower')
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted log, witnesses and quorum (C2SP tlog-policy)')
    .addOption(json())
    .addHelpText(
      'after',
      help(['rxledger evidence rx/evidence/fork-….json --vkey "$VKEY"', '0: proved, 1: not proved by itself']),
    )
    .action(async (file: string, options: TrustOptions) =>
      done(await (await import('./follow.js')).runEvidence(file, options, terminal)),
    );

  return program;
}

function readSeconds(text: string): number {
  const seconds = /^\d{1,6}(?:\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('seconds are a number above 0');
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError('a port is a number from 0 to 65535');
}

/**
 * Runs one command line. Never throws: errors are one line on standard error.
 * @param args without node and script
 * @returns the exit code
 */
export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = buildProgram(terminal, (ended) => {
    code = ended;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const failure = (await import('./failures.js')).failureOf(error);
    terminal.err(`rxledger: ${failure.message}`);
    if (terminal.env['LOG_LEVEL'] === 'debug' && error instanceof Error) {
      const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
      for (const frame of frames) terminal.err(frame);
    }
    return failure.exitCode;
  }
}
