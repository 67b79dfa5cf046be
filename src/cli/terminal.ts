/** Where a command speaks: results on standard output, everything else on standard error. */
export interface Terminal {
  out(line: string): void;
  err(line: string): void;
  /** Overwrites one line on standard error; with an empty text it is gone. */
  status(line: string): void;
  /** Whether somebody looks at standard error. */
  readonly watched: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output itself, for what is too long for lines in memory. */
  readonly stdout: NodeJS.WritableStream;
}

/** What every command may be asked for. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly progress?: boolean;
}

/** How a command ended. */
export const EXIT = {
  ok: 0,
  /** Something was found or refused: the command did its work and this is its answer. */
  finding: 1,
  /** The command line asks for what does not exist or does not fit. */
  usage: 2,
  /** Settings, files, database or Redis do not let it work. */
  outage: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line asks for what cannot be. */
export class UsageError extends Error {}

/** Files, database or settings do not let a command work; the message is for whoever runs it. */
export class EnvironmentError extends Error {}

export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  // Whoever reads may stop reading (`| head`): that is no failure of ours.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  return {
    out: (line) => void stdout.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    status: (line) => void stderr.write(stderr.isTTY ? `\r\u001B[K${line}` : line === '' ? '' : `${line}\n`),
    watched: stderr.isTTY,
    env: process.env,
    stdout,
  };
}

/** How often a progress line changes, in ms: as often as an eye follows, or as a log file wants it. */
const EVERY_MS = { watched: 100, logged: 2000 };

/** A line that says how far a command is, on a terminal or when it is asked for. */
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
