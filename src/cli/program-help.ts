/** Shared parts of the commands' help. */
import { Option } from 'commander';
import type { ExitCode } from './terminal.js';

/** Called with the exit code of the command. */
export type Done = (code: ExitCode) => void;

/** Exit codes of every command, with their meanings. */
export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'done, and something was found or refused',
  2: 'the command line is wrong',
  3: 'settings, files, the database or Redis prevent the work',
};

export const EXIT_CODES = `
Exit codes:
${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `  ${code}  ${meaning}`)
  .join('\n')}`;

export const json = () => new Option('--json', 'print one JSON document instead of lines for people');
export const vkeys = (what: string) =>
  new Option('--vkey <vkey>', `${what}; repeat it where the log has replaced its key`)
    .argParser((vkey: string, others: string[]) => [...others, vkey])
    .default([], 'none');
export const progress = () => new Option('--progress', 'report progress on standard error (default: on a terminal)');
export const yes = () => new Option('--yes', 'do not ask');

/** @returns the end of a command's help: examples with explanations, and the exit codes */
export function help(...examples: [command: string, what: string][]): string {
  const width = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, what]) => `  $ ${command.padEnd(width)}  # ${what}`);
  return `\nExamples:\n${lines.join('\n')}\n${EXIT_CODES}`;
}
