/** What the commands' help has in common. */
import { Option } from 'commander';
import type { ExitCode } from './terminal.js';

/** Told how the command that ran has ended. */
export type Done = (code: ExitCode) => void;

export const EXIT_CODES = `
Exit codes:
  0  done
  1  done, and something was found or refused
  2  the command line does not fit
  3  settings, files, database or Redis do not let it work`;

export const json = () => new Option('--json', 'print one JSON document instead of lines for people');
export const vkeys = (what: string) =>
  new Option('--vkey <vkey>', `${what}; may be repeated where the log has replaced its key`)
    .argParser((vkey: string, others: string[]) => [...others, vkey])
    .default([], 'none');
export const progress = () => new Option('--progress', 'say on standard error how far it is (default: on a terminal)');

export function help(...examples: [command: string, what: string][]): string {
  const width = Math.max(...examples.map(([command]) => command.length));
  const lines = examples.map(([command, what]) => `  $ ${command.padEnd(width)}  # ${what}`);
  return `\nExamples:\n${lines.join('\n')}\n${EXIT_CODES}`;
}
