import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ProofVerifyOptions } from './audit/proof-verify.js';
import type { FollowCommandOptions, TrustOptions } from './audit/follow.js';
import type { WitnessOptions } from './audit/witness.js';
import { type Done, help, json, progress, vkeys } from './program-help.js';
import type { Terminal } from './terminal.js';

/** For who checks without trusting whoever runs the service. */
export function addAuditCommands(program: Command, terminal: Terminal, done: Done): void {
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
a receipt and a chain head or list: withheld, unlisted, uncovered, differs.`,
    )
    .action(async (files: string[], options: ProofVerifyOptions) =>
      done(await (await import('./audit/proof-verify.js')).runProofVerify(files, options, terminal)),
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
      done(await (await import('./audit/witness.js')).runWitness(options, terminal)),
    );

  program
    .command('follow')
    .description('check a log as an auditor does, again and again, and remember what it has signed')
    .argument('<url>', 'where the service, or a replica of its log, is reached, https://…')
    .requiredOption('--dir <folder>', 'where what was checked stays, and evidence; one log, one folder')
    .addOption(vkeys("the log's verifier key to trust"))
    .option('--policy <file>', 'trusted log, witnesses and the quorum that is needed (C2SP tlog-policy)')
    .option('--from-replica', "<url> is a replica: it has no payloads, so that it cannot show the log's own chain")
    .option('--client-id <id>', 'sign in as this machine, an auditor: entries are not public')
    .option('--key <file>', 'its private key (`rxledger keygen` makes one)')
    .option('--sign-in <url>', 'the service whose tokens let read entries, where that is not <url>: of a replica')
    .option('--audience <url>', 'what that service calls itself (its PUBLIC_URL), where that is not its URL')
    .option('--token <file>', 'an access token that somebody keeps fresh there, in the place of --client-id and --key')
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
        [
          'rxledger follow https://copy.example --from-replica --sign-in https://rx.example --dir rx --vkey "$VKEY" …',
          "somebody's copy of it",
        ],
      ),
    )
    .addHelpText(
      'after',
      `
Ends with 1 at the first alarm; what shows it is in <folder>/evidence (\`rxledger evidence\` checks it elsewhere). A
replica is served on as it was before the alarm: then it ends at a signal, with 1 all the same.
Alarms: signature, log (another log answers), rollback, fork, quorum (of --policy is not met), files (a tile or bundle
is not the signed one, or the log's own chain is not shown as it is), entry (one breaks a rule). A log that is away
ends a look with 3 under --once; without it the next look is waited for. With --json a line a look.`,
    )
    .action(async (url: string, options: FollowCommandOptions) =>
      done(await (await import('./audit/follow.js')).runFollow(url, options, terminal)),
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
      done(await (await import('./audit/follow.js')).runEvidence(file, options, terminal)),
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
