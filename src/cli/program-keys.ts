import { type Command, Option } from 'commander';
import type { KeygenOptions } from './keys/keygen.js';
import type { RotateOptions } from './ledger/rotate-kek.js';
import type { ContinueOptions } from './ledger/continue.js';
import type { RestoreOptions } from './ledger/restore.js';
import type { RotateLogKeyOptions } from './ledger/rotate-log-key.js';
import type { SignOptions } from './keys/sign.js';
import { type Done, help, json, progress } from './program-help.js';
import type { Terminal } from './terminal.js';

/** Keys, and the life of the log that they sign. */
export function addKeyCommands(program: Command, terminal: Terminal, done: Done): void {
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
folder and for good: a backup of the database from before, whosever data is in it, can then be opened only with a backup
of the keys folder, and as long as such a backup is kept, erasure is not complete. Take a new backup of the database
right afterwards. Never keep the keys in a backup of the database.
What is remembered of erased patients' requests is forgotten with it, and SQLite's write-ahead log is emptied; while
somebody reads the database that waits, and the command ends with 1: run it again.
All processes of the log must see the same keys folder; they take the new key over by themselves.`,
    )
    .action(async (options: RotateOptions) =>
      done(await (await import('./ledger/rotate-kek.js')).runRotateKek(options, terminal)),
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
        ['rxledger rotate-log-key --json', 'prints {log, from, to, index, old, receipt, left}'],
      ),
    )
    .addHelpText(
      'after',
      `
The log's own chain records old and new verifier key in a statement that both keys sign, and the checkpoint right behind
it carries both signatures; /log/rotations serves them. All processes of the log must see the same keys folder: they take
the new key over by themselves, and one that does not find it there answers writes with 503. Who has pinned the old key:
\`rxledger audit follow\` moves on and says so, \`verify\` and \`audit proof --rotations\` accept the old key as the beginning;
receipts of before hold under the old key for ever. Witnesses and WITNESS_POLICY need the new key as a second log line:
without it they cosign no more. A copy of the old key in a backup still signs: destroy it there too. Interrupted, run it
again: it ends what it began, and replaces no key a second time; until then --prepare is refused. In what --json prints, from, index and receipt are null only
where it was \`rxledger continue\` that was interrupted.`,
    )
    .action(async (options: RotateLogKeyOptions) =>
      done(await (await import('./ledger/rotate-log-key.js')).runRotateLogKey(options, terminal)),
    );

  program
    .command('restore')
    .description(
      'bring a database that was set back forward again, from a replica and kept payloads; the service is stopped',
    )
    .option('--replica <folder|url>', 'where the entries are: a folder of `audit follow --replica`, or a service')
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
          'rxledger restore --replica rx --payloads yesterday.jsonl answer-*.json',
          'refused where a lost payload is in none of the files',
        ],
        ['rxledger restore --replica rx --payloads all.jsonl --json', 'prints {log, vkey, before, size, verified, …}'],
        ['rxledger restore --replica https://copy.example --token t --json', 'refused: {refused, missing, written}'],
      ),
    )
    .addHelpText(
      'after',
      `
For a database restored from a backup that is older than its head file: the service does not start on it. Entries and
payloads come from anybody, for they are checked: entries must give the root of the head file's newest checkpoint, which
the log has signed, and payloads must be what the entries commit to. Every lost entry's payload must be in a file (\`export
--with-payloads\`, an answer or receipt that was kept). A replica has what was published: what was written in the last
seconds before the loss, and where there is no replica all of it, is taken from those files too. Where anything lacks,
nothing is written, and \`rxledger continue\` goes on without what was lost. Chains, states, names, tokens and claim secrets are then
what they were, under the same name and key, receipts hold, and the whole database is verified. An erasure or a new log
key in what was lost is not brought back. What is not in the log is not brought back either: accounts, organisations,
clients and witnesses' cosignatures since the backup, what disabled an account or replaced a client's keys (do that again), and
remembered requests: the retry of a request from that time is
no repeat of it but recorded once more. All that was lost is held in memory. Interrupted, run it again.`,
    )
    .action(async (options: RestoreOptions) =>
      done(await (await import('./ledger/restore.js')).runRestore(options, terminal)),
    );

  program
    .command('continue')
    .description('continue a log whose database was set back, under a new name and key; the service is stopped')
    .option('--origin <name>', 'the new name (default: that of LOG_ORIGIN where it is a new one, or a random one)')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger continue', 'asks nothing: refused where the head file remembers no more than the database holds'],
        [
          'rxledger continue --origin example.org/rxledger-2 --json',
          'prints {log, vkey, continues, entries, lost, headFile, oldKeys}',
        ],
      ),
    )
    .addHelpText(
      'after',
      `
For a database restored from a backup that is older than its head file: the service does not start on it, for under its
name it would fork. Where what was lost is kept elsewhere, \`rxledger restore\` brings it back instead. What is left is
verified; then the log's own chain says, signed by the new key and the old one, which log it continues, with how many of
how many entries, and everything goes on: chains, states, tokens, accounts. What was lost stays lost, and shows: whoever
has a receipt of it has the proof. What it had ended is in force again, so do it again: retention holds, disabled accounts
and clients, replaced keys of clients. Erasures and revoked keys of actors are done again at the next start, as far as the
files \`erased\` and \`revoked\` of this machine name them. The new log is another one: \`follow\` with the old key alarms and says so, and
witnesses, auditors and WITNESS_POLICY need the new key by a decision of their own. /log/continued
serves the event. Set LOG_ORIGIN, where it is set, to the new name. Interrupted, run it again.`,
    )
    .action(async (options: ContinueOptions) =>
      done(await (await import('./ledger/continue.js')).runContinue(options, terminal)),
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
      done(await (await import('./keys/keygen.js')).runKeygen(file, options, terminal)),
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
      done(await (await import('./keys/sign.js')).runSign(file, options, terminal)),
    );
}
