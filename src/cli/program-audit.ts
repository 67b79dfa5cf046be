import { type Command, InvalidArgumentError, Option } from 'commander';
import type { FollowOptions } from './audit/follow.js';
import type { ProofOptions } from './audit/proof.js';
import type { TrustOptions } from './audit/trust.js';
import type { WitnessOptions } from './audit/witness.js';
import { type Done, help, json, progress, vkeys } from './program-help.js';
import type { Terminal } from './terminal.js';

/** Commands for people who check a log without trusting its operator. */
export function addAuditCommands(program: Command, terminal: Terminal, done: Done): void {
  const audit = program
    .command('audit')
    .description('check a log, and what people keep of it, without trusting its operator')
    .addHelpText(
      'after',
      help(
        ['rxledger audit follow https://rx.example --dir rx --vkey "$VKEY" …', 'until an alarm'],
        ['rxledger audit proof answer.json --vkey "$VKEY"', 'the saved answer to a write'],
      ),
    );
  addFollow(audit, terminal, done);
  addProof(audit, terminal, done);
  addEvidence(audit, terminal, done);
  const witness = program
    .command('witness')
    .description('be an independent witness of logs')
    .addHelpText(
      'after',
      help(
        ['rxledger witness run --dir w1 --name w1.example --log "$VKEY"', 'VKEY is what `rxledger log vkey` prints'],
        ['rxledger witness run --dir w1 --name w1.example --print-vkey', 'the key that others pin'],
      ),
    );
  addWitness(witness, terminal, done);
}

function addProof(audit: Command, terminal: Terminal, done: Done): void {
  audit
    .command('proof')
    .description('check receipts, disclosures and signed chain heads offline: no ledger, no network, no settings')
    .argument('<file...>', 'saved answers of the service, receipts, disclosures, chain heads')
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted logs, witnesses and the quorum that is needed (C2SP tlog-policy)')
    .option('--rotations <file>', "how the log's key was replaced (GET /log/rotations): trust passes on along it")
    .option(
      '--continued <file>',
      'which log this one continues (GET /log/continued): for entries under the earlier name',
    )
    .option('--chain-head-vkey <vkey>', 'the verifier key of chain heads to trust')
    .option('--actor-key <file>', 'public keys (JWK) that the actor gave you: one of them must have signed the record')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger audit proof answer.json --vkey "$VKEY"', 'the saved answer to a write, or its receipt'],
        ['rxledger audit proof answer.json --policy policy.txt --json', 'only with a quorum of witnesses'],
        ['rxledger audit proof disclosure.json --vkey "$VKEY"', 'what it shows, and what is withheld'],
        ['rxledger audit proof answer.json head.json --vkey "$VKEY" --chain-head-vkey "$HEADS"', 'is it kept from me?'],
        ['rxledger audit proof answer.json --vkey "$VKEY" --actor-key doctor.jwk', 'and has the doctor signed it?'],
      ),
    )
    .addHelpText(
      'after',
      `
Trust comes from the options alone, never from the files. Pin the keys that \`rxledger log vkey\` and
\`rxledger log vkey --chain-heads\` print, or write a policy:

  log <vkey of the log>
  witness w1 <vkey>
  witness w2 <vkey>
  witness w3 <vkey>
  group witnesses 2 w1 w2 w3
  quorum witnesses

committed: the log has signed a tree with this entry. witnessed: a quorum of the policy's witnesses has cosigned it.
A document that does not hold is named with its reason: form, checkpoint, log, entry, inclusion, payload, members,
quorum, signature; with --actor-key also actor-signature and actor-unknown. Whether the actor's key was in force, only
the log's own chain says. A receipt beside a chain head can also end with withheld or differs.`,
    )
    .action(async (files: string[], options: ProofOptions) =>
      done(await (await import('./audit/proof.js')).runProof(files, options, terminal)),
    );
}

function addWitness(witness: Command, terminal: Terminal, done: Done): void {
  witness
    .command('run')
    .description('cosign the checkpoints of logs until a signal ends it (C2SP tlog-witness)')
    .requiredOption('--dir <folder>', 'its key and its memory of what it cosigned; never restore it from a backup')
    .option('--name <name>', 'its name, a URL without the scheme; needed the first time only')
    .addOption(
      new Option('--log <vkey>', 'a log by its verifier key; may be repeated')
        .argParser((vkey: string, others: string[]) => [...others, vkey])
        .default([], 'none'),
    )
    .option('--logs <file>', "more logs, in the witness network's format logs/v0")
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .addOption(new Option('--port <port>', 'port to listen on; 0 takes a free one').argParser(readPort).default(7380))
    .option('--print-vkey', 'print the verifier key for logs and auditors to pin, and end')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger witness run --dir w1 --name w1.example --log "$VKEY"', 'VKEY is what `rxledger log vkey` prints'],
        ['rxledger witness run --dir w1 --logs logs.txt --port 8081', 'its name stands in w1 already'],
        ['rxledger witness run --dir w1 --name w1.example --print-vkey', 'makes the key if there is none'],
        ['rxledger witness run --dir w1 --log "$VKEY" --json', 'prints {address, vkey, logs}, then serves'],
      ),
    )
    .action(async (options: WitnessOptions) =>
      done(await (await import('./audit/witness.js')).runWitness(options, terminal)),
    );
}

function addFollow(audit: Command, terminal: Terminal, done: Done): void {
  audit
    .command('follow')
    .description('check a log as an auditor does, again and again, and remember what it has signed')
    .argument('<url>', 'the public address of the service, https://…')
    .requiredOption('--dir <folder>', "the follower's memory and its evidence; one folder for each log")
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted log, witnesses and the quorum that is needed (C2SP tlog-policy)')
    .option('--client-id <id>', 'sign in as this machine, an auditor: entries are not public')
    .option('--key <file>', 'its private key (`rxledger keys new machine` makes one)')
    .option('--once', 'look once')
    .addOption(new Option('--interval <seconds>', 'pause between two looks').argParser(readSeconds).default(10))
    .option('--replica', 'also keep all files of the log in <folder>/log, for `log restore` and any static web server')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        [
          'rxledger audit follow https://rx.example --dir rx --vkey "$VKEY" --client-id … --key f.key',
          'until an alarm',
        ],
        ['rxledger audit follow https://rx.example --dir rx --policy policy.txt --once --json …', 'one look, one line'],
        ['rxledger audit follow https://rx.example --dir rx --vkey "$VKEY" --replica …', 'with a copy of the log'],
      ),
    )
    .addHelpText(
      'after',
      `
It ends with 1 at the first alarm and keeps evidence in <folder>/evidence, which \`rxledger audit evidence\` checks
anywhere. A replica stays as it was before the alarm. Alarms:

  signature  no trusted key has signed the checkpoint
  log        another log answers
  rollback   the log is shorter than it was
  fork       the log has signed two histories
  quorum     too few witnesses of --policy have cosigned
  files      a tile, a bundle or an event of the log's own chain is missing or is not the signed one
  entry      an entry breaks a rule

With --once it ends with 3 when the log is away; otherwise it waits for the next look. --json prints a line for each
look.`,
    )
    .action(async (url: string, options: FollowOptions) =>
      done(await (await import('./audit/follow.js')).runFollow(url, options, terminal)),
    );
}

function addEvidence(audit: Command, terminal: Terminal, done: Done): void {
  audit
    .command('evidence')
    .description("say whether a file of evidence proves by the log's own signatures what the log did")
    .argument('<file>', 'from the folder `evidence` of `audit follow`')
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted log, witnesses and quorum (C2SP tlog-policy)')
    .addOption(json())
    .addHelpText(
      'after',
      help([
        'rxledger audit evidence rx/evidence/fork-….json --vkey "$VKEY"',
        'ends with 0: proved; 1: only the follower says so',
      ]),
    )
    .action(async (file: string, options: TrustOptions) =>
      done(await (await import('./audit/evidence.js')).runEvidence(file, options, terminal)),
    );
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError('a port is a number from 0 to 65535');
}

function readSeconds(text: string): number {
  const seconds = /^\d{1,6}(?:\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('seconds are a number above 0');
}
