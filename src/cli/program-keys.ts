import { type Command } from 'commander';
import type { RotateEncryptionOptions } from './keys/rotate-encryption.js';
import type { SignOptions } from './keys/sign.js';
import { type Done, help, json, progress, yes } from './program-help.js';
import type { CommonOptions, Terminal } from './terminal.js';

const KEY_FILE = 'the private key: 32 bytes that only its owner may read (0600); keep it, send it nowhere';

/** The commands of `rxledger keys`: keys of machines and people, and the keys that encrypt. */
export function addKeyCommands(program: Command, terminal: Terminal, done: Done): void {
  const keys = program
    .command('keys')
    .description('make keys, sign with them, replace the key that encrypts')
    .addHelpText(
      'after',
      help(
        ['rxledger keys new machine follower.key', 'a key with which a program signs in'],
        ['rxledger keys new person mine.key', 'a key with which a person signs what they record'],
      ),
    );
  addNew(keys, terminal, done);

  keys
    .command('sign')
    .description('sign the statement that the service would record in your name')
    .argument('<file>', 'the saved answer `signature.required`, or the statement in it')
    .requiredOption('--key <file>', 'your private key; `rxledger keys new person` makes one')
    .addOption(yes())
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger keys sign answer.json --key mine.key', 'shows the statement, asks, prints the JWS'],
        [
          'rxledger keys sign answer.json --key mine.key --yes --json',
          'prints {jws, occurredAt}: the member signature',
        ],
      ),
    )
    .addHelpText(
      'after',
      `
The service has made up the statement: compare it with what you mean before you sign. The statement goes to standard
error, the signature to standard output. On a terminal the command asks before it signs.
The signature covers canonical JSON (RFC 8785) in a detached JWS (RFC 7515, RFC 7797).`,
    )
    .action(async (file: string, options: SignOptions) =>
      done(await (await import('./keys/sign.js')).runSign(file, options, terminal)),
    );

  keys
    .command('rotate-encryption')
    .description('make a new key-encryption key and rewrap all subject keys with it, beside a running service')
    .option('--destroy-old', 'then destroy the older ones, once no earlier write is under way (up to a minute)')
    .addOption(json())
    .addOption(progress())
    .addHelpText(
      'after',
      help(
        ['rxledger keys rotate-encryption --destroy-old', 'completes the erasures so far'],
        ['rxledger keys rotate-encryption --json', 'prints {kek, rewrapped, destroyed, emptied}'],
      ),
    )
    .addHelpText(
      'after',
      `
An erasure is complete only when the key-encryption keys of its time are destroyed. Until then a backup of the database
together with those keys gives the erased data back.

--destroy-old removes the older keys from the keys folder for good. An earlier backup of the database can then be opened
only with a backup of the keys folder; while such a backup is kept, erasure is not complete. Take a new backup of the
database right afterwards. Never keep the keys in a backup of the database.

The command also forgets what was remembered of erased patients' requests, and empties SQLite's write-ahead log. If
somebody is reading the database, that has to wait, and the command ends with 1: run it again.
All processes of the log must see the same keys folder; they take over the new key by themselves.`,
    )
    .action(async (options: RotateEncryptionOptions) =>
      done(await (await import('./keys/rotate-encryption.js')).runRotateEncryption(options, terminal)),
    );
}

function addNew(keys: Command, terminal: Terminal, done: Done): void {
  const added = keys
    .command('new')
    .description('make a private key in a file, and print its public key')
    .addHelpText(
      'after',
      help(
        ['rxledger keys new machine follower.key', 'for POST /api/clients'],
        ['rxledger keys new person mine.key', 'for POST /api/actor-keys'],
      ),
    );

  added
    .command('machine')
    .description('make a key with which a program signs in; print its public key for POST /api/clients')
    .argument('<file>', KEY_FILE)
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger keys new machine follower.key', 'prints {"keys": […]}: the member jwks of a new client'],
        ['rxledger keys new machine follower.key --json', 'the same in one line'],
      ),
    )
    .action(async (file: string, options: CommonOptions) =>
      done(await (await import('./keys/new-key.js')).runNewKey('machine', file, options, terminal)),
    );

  added
    .command('person')
    .description(
      'make a key with which its owner signs what they record; print its public key for POST /api/actor-keys',
    )
    .argument('<file>', KEY_FILE)
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger keys new person mine.key', 'prints {"jwk": …}; `rxledger keys sign` signs with it'],
        ['rxledger keys new person mine.key --json', 'the same in one line'],
      ),
    )
    .action(async (file: string, options: CommonOptions) =>
      done(await (await import('./keys/new-key.js')).runNewKey('person', file, options, terminal)),
    );
}
