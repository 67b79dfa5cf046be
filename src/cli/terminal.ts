import { createInterface } from 'node:readline/promises';

/** Input and output of a command: results on standard output, everything else on standard error. */
export interface Terminal {
  out(line: string): void;
  err(line: string): void;
  /** Overwrites one line on standard error; an empty text removes it. */
  status(line: string): void;
  /** Whether standard error is a terminal. */
  readonly watched: boolean;
  /** Asks on standard error and waits for a line; absent without a terminal. */
  readonly ask?: (question: string) => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output itself, for output too long for memory. */
  readonly stdout: NodeJS.WritableStream;
}

export interface CommonOptions {
  readonly json?: boolean;
  readonly progress?: boolean;
}

/** A message as a sentence of its own. */
export const sentence = (words: string): string => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;

/** How a command ended. */
export const EXIT = {
  ok: 0,
  /** The command did its work, and its answer is a finding or a refusal. */
  finding: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Settings, files (a missing one too), the database or Redis prevent the work. */
  outage: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line is wrong. */
export class UsageError extends Error {}

/** Files, the database or settings prevent a command's work; the message is for its user. */
export class EnvironmentError extends Error {}

export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  // The reader may stop reading (`| head`), which is not a failure of the command.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  return {
    out: (line) => void stdout.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    status: (line) => void stderr.write(stderr.isTTY ? `\r\u001B[K${line}` : line === '' ? '' : `${line}\n`),
    watched: stderr.isTTY,
    ...(process.stdin.isTTY && stderr.isTTY && { ask: askPerson }),
    env: process.env,
    stdout,
  };
}

async function askPerson(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new AbortController();
  // Ctrl-C and the end of input count as "no".
  lines.once('SIGINT', () => ended.abort()).once('close', () => ended.abort());
  try {
    return await lines.question(question, { signal: ended.signal }).catch(() => '');
  } finally {
    lines.close();
  }
}

/** Asks a yes-no question; anything but `y` or `yes` counts as "no". @param ask the terminal's */
export async function agrees(ask: NonNullable<Terminal['ask']>, question: string): Promise<boolean> {
  return /^y(es)?$/i.test((await ask(`${question} [y/N] `)).trim());
}

/** How often a progress line changes, in ms: on a terminal, and in a log file. */
const EVERY_MS = { watched: 100, logged: 2000 };

/** A line that reports progress, on a terminal or with `--progress`. */
export class ProgressLine {
  private next = 0;
  private readonly wanted: boolean;

  constructor(
    private readonly terminal: Terminal,
    { progress, json }: CommonOptions,
    private readonly now: () => number = Date.now,
  ) {
    this.wanted = progress ?? (terminal.watched && !json);
  }

  show(line: () => string): void {
    if (!this.wanted || this.now() < this.next) return;
    this.next = this.now() + (this.terminal.watched ? EVERY_MS.watched : EVERY_MS.logged);
    this.terminal.status(line());
  }

  done(): void {
    if (this.wanted && this.next > 0) this.terminal.status('');
  }
}
