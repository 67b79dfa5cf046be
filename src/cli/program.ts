import { Command, CommanderError } from 'commander';
import { addAdminCommands } from './program-admin.js';
import { addAuditCommands } from './program-audit.js';
import { type Done, EXIT_CODES } from './program-help.js';
import { addKeyCommands } from './program-keys.js';
import { addLogCommands } from './program-log.js';
import { addServiceCommands } from './program-service.js';
import { EXIT, type ExitCode, type Terminal } from './terminal.js';
import { version } from './version.js';

/**
 * Every command, in groups, with its help. A command's work is loaded only when it runs.
 * @param done called with the exit code of the command
 */
export function buildProgram(terminal: Terminal, done: Done): Command {
  const program = new Command('rxledger')
    .description('Pharmacy prescription tracking on a tamper-evident ledger.')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .exitOverride()
    .showHelpAfterError('(rxledger --help lists the commands; rxledger <command> --help explains one)')
    .version(version(), '--version', 'print the version')
    .addHelpText(
      'after',
      `\nSettings are environment variables; src/cli/README.md lists them and all commands.\n${EXIT_CODES}`,
    );

  addServiceCommands(program, terminal, done);
  addAdminCommands(program, terminal, done);
  addLogCommands(program, terminal, done);
  addKeyCommands(program, terminal, done);
  addAuditCommands(program, terminal, done);
  return program;
}

/** Every command that can run, with the words that call it, in the order of the help. */
export function commandsOf(program: Command): { readonly words: string; readonly command: Command }[] {
  return program.commands.flatMap((command) => {
    const words = `${program.parent === null ? '' : `${wordsOf(program)} `}${command.name()}`;
    return command.commands.length === 0 ? [{ words, command }] : commandsOf(command);
  });
}

function wordsOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${wordsOf(parent)} ${command.name()}` : command.name();
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
  const meant = meantBy(program, args);
  // Otherwise commander would name a command of a similar spelling as well.
  if (meant.length > 0) program.showSuggestionAfterError(false);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === 'commander.unknownCommand')
        for (const words of meant) terminal.err(`Did you mean \`rxledger ${words}\`?`);
      return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    }
    const failure = (await import('./failures.js')).failureOf(error);
    terminal.err(`rxledger: ${failure.message}`);
    if (terminal.env['LOG_LEVEL'] === 'debug' && error instanceof Error) {
      const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
      for (const frame of frames) terminal.err(frame);
    }
    return failure.exitCode;
  }
}

/** Grouped commands that end with the typed words: `log verify` for `verify`. */
function meantBy(program: Command, args: readonly string[]): string[] {
  const typed = args.find((arg) => !arg.startsWith('-')) ?? '';
  return commandsOf(program).flatMap(({ words }) => (words.endsWith(` ${typed}`) ? [words] : []));
}
