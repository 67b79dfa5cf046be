import { PassThrough } from 'node:stream';
import { run } from '../../src/cli/program.js';
import type { ExitCode, Terminal } from '../../src/cli/terminal.js';

/** What a command said, line by line, and what it wrote to standard output itself. */
export interface Said {
  readonly out: string[];
  readonly err: string[];
  piped: string;
}

/** A non-interactive terminal without settings. */
export function testTerminal(over: Partial<Terminal> = {}): { terminal: Terminal; said: Said } {
  const said: Said = { out: [], err: [], piped: '' };
  const stdout = new PassThrough();
  stdout.setEncoding('utf8').on('data', (text: string) => (said.piped += text));
  const terminal: Terminal = {
    out: (line) => said.out.push(line),
    err: (line) => said.err.push(line),
    status: (line) => said.err.push(line),
    watched: false,
    env: {},
    stdout,
    ...over,
  };
  return { terminal, said };
}

/** Runs a command line in this process. */
export async function runCommand(
  args: readonly string[],
  env: Terminal['env'] = {},
): Promise<{ code: ExitCode; out: string; err: string; piped: string }> {
  const { terminal, said } = testTerminal({ env });
  const code = await run(args, terminal);
  return { code, out: said.out.join('\n'), err: said.err.join('\n'), piped: said.piped };
}
