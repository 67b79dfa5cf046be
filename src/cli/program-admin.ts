import { type Command, Option } from 'commander';
import type { CreateOptions, FirstOptions } from './service/accounts.js';
import { type Done, help, json } from './program-help.js';
import type { CommonOptions, Terminal } from './terminal.js';

const USERNAME = '3 to 64 letters, digits or . _ @ -';

/** The commands of `rxledger admin`: accounts of people. They work beside a running service. */
export function addAdminCommands(program: Command, terminal: Terminal, done: Done): void {
  const admin = program
    .command('admin')
    .description('manage the accounts of staff and patients, beside a running service')
    .addHelpText(
      'after',
      help(
        ['rxledger admin first ada', 'makes the first administrator of an installation'],
        ['rxledger admin list', 'who can sign in'],
      ),
    );
  addMaking(admin, terminal, done);
  addChanging(admin, terminal, done);
}

function addMaking(admin: Command, terminal: Terminal, done: Done): void {
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

  admin
    .command('create')
    .description('make an account for a person; prints the password once')
    .argument('<username>', USERNAME)
    .addOption(
      new Option('--role <role>', 'what the person may do')
        .choices(['prescriber', 'pharmacist', 'patient', 'auditor', 'administrator'])
        .makeOptionMandatory(),
    )
    .option('--name <name>', 'as others see it')
    .option('--org <id>', "a prescriber's practice or a pharmacist's pharmacy")
    .option('--patient <id>', 'the enrolled patient that the account is for')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger admin create kim --role pharmacist --org 4c5d0f4e-… --name "Kim Doe"', 'prints the password'],
        ['rxledger admin create chris --role auditor --json', 'prints {id, username, password}'],
      ),
    )
    .action(async (username: string, options: CreateOptions) =>
      done(await (await import('./service/accounts.js')).runCreate(username, options, terminal)),
    );
}

function addChanging(admin: Command, terminal: Terminal, done: Done): void {
  admin
    .command('list')
    .description('list the accounts of people')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger admin list', 'a line an account; no names of patients'],
        ['rxledger admin list --json', 'prints {accounts}'],
      ),
    )
    .action(async (options: CommonOptions) =>
      done(await (await import('./service/accounts.js')).runList(options, terminal)),
    );

  admin
    .command('reset')
    .description('give an account a new password, printed once, and end its lock by failed sign-ins')
    .argument('<username>', 'whose password is lost')
    .addOption(json())
    .addHelpText(
      'after',
      help(
        ['rxledger admin reset kim', 'prints the new password'],
        ['rxledger admin reset kim --json', 'prints {id, username, password}'],
      ),
    )
    .addHelpText(
      'after',
      `
Tokens that are out stay valid for up to 15 minutes. To stop them earlier, disable the account, wait half a minute,
and enable it again.`,
    )
    .action(async (username: string, options: CommonOptions) =>
      done(await (await import('./service/accounts.js')).runReset(username, options, terminal)),
    );

  for (const [how, what] of [
    ['disable', 'end an account: it cannot sign in, and its tokens stop within half a minute'],
    ['enable', 'let a disabled account sign in again'],
  ] as const) {
    admin
      .command(how)
      .description(what)
      .argument('<username>', 'whose account')
      .addOption(json())
      .addHelpText(
        'after',
        help(
          [`rxledger admin ${how} kim`, 'twice is as good as once'],
          [`rxledger admin ${how} kim --json`, 'prints {id, username, disabled}'],
        ),
      )
      .action(async (username: string, options: CommonOptions) =>
        done(await (await import('./service/accounts.js')).runSwitch(how, username, options, terminal)),
      );
  }
}
