import { Command, CommanderError } from 'commander';
import { addAuditCommands } from './program-audit.js';
import { type Done, EXIT_CODES } from './program-help.js';
import { addKeyCommands } from './program-keys.js';
import { addServiceCommands } from './program-service.js';
import { EXIT, type ExitCode, type Terminal } from './terminal.js';

/**
 * Every command with its help. What a command does is loaded only when it runs.
 * @param done told how the command that ran has ended
 */
export function buildProgram(terminal: Terminal, done: Done): Command {
  const program = new Command('rxledger')
    .description('Pharmacy prescription tracking on a tamper-evident ledger.')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    })
    .exitOverride()
    .showHelpAfterError('(rxledger --help says what there is)')
    .addHelpText('after', `\nSettings are environment variables; see README.md.\n${EXIT_CODES}`);

  addServiceCommands(program, terminal, done);
  addAuditCommands(program, terminal, done);
  addKeyCommands(program, terminal, done);
  return program;
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
