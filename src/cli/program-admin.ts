import { type Command } from 'commander';
import type { FirstOptions } from './service/accounts.js';
import { type Done, help, json } from './program-help.js';
import type { Terminal } from './terminal.js';

const USERNAME = '3 to 64 letters, digits or . _ @ -';

/** The commands of `rxledger admin`: accounts of people. */
export function addAdminCommands(program: Command, terminal: Terminal, done: Done): void {
  const admin = program
    .command('admin')
    .description('manage the accounts of people, beside a running service')
    .addHelpText('after', help(['rxledger admin first ada', 'makes the first administrator of an installation']));

  admin
    .command('first')
    .description('make the first administrator of a new installation; prints the password once')
    .argument('<username>', USERNAME)
    .option('--name <name>', 'as others see it')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['NODE_ENV=production rxledger admin first ada --name "Ada Root"', 'prints username and password'],
        ['rxledger admin first ada --json', 'prints {id, username, password}'],
      ),
    )
    .action(async (username: string, options: FirstOptions) =>
      done(await (await import('./service/accounts.js')).runFirst(username, options, terminal)),
    );
}
