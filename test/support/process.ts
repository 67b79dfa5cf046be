import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { freePort, tethered } from '../../src/cli/service/machine.js';
import { until } from './wait.js';

/** A child process under test. It dies with the process that started it. */
export interface TestProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Waits until a whole line on stdout or stderr matches. @returns that line's match */
  line(pattern: RegExp, timeout?: number): Promise<RegExpMatchArray>;
  /** Exit code and signal, when it has ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGSTOP: keeps all its locks and connections, but does nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** kill -9, also when frozen. */
  kill(): Promise<void>;
  /** SIGTERM. @returns the exit code */
  terminate(): Promise<number | null>;
}

/** A running `rxledger serve`. */
export interface TestServer extends TestProcess {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
}

/** Variables of the calling shell that would change the tests. */
const SETTINGS = ['DATABASE_URL', 'REDIS_URL', 'DATA_DIR', 'ROLE', 'PORT', 'HOST', 'LOG_ORIGIN', 'DEMO_PASSWORD'];

/**
 * Starts `node script args…`.
 * @param options.env added to this process's environment, less RxLedger's own settings
 * @param options.cwd default: the repository
 */
export function startNode(
  script: string,
  args: readonly string[] = [],
  options: { env?: Record<string, string>; cwd?: string } = {},
): TestProcess {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTINGS.includes(name)));
  // Vitest sets NODE_ENV=test and its own NODE_OPTIONS, which must not reach the child.
  const env = { ...inherited, NODE_ENV: 'development', NODE_OPTIONS: '', ...options.env };
  const { command, args: line } = tethered(process.execPath, [resolve(script), ...args], 'KILL');
  const child = spawn(command, line, { env, cwd: options.cwd ?? process.cwd(), stdio: ['ignore', 'pipe', 'pipe'] });
  return watch(child);
}

/**
 * Starts `rxledger serve` from the built files on a free port and waits until it is ready.
 * @throws {Error} with its last lines, when it ends or does not get ready
 */
export async function startServer(
  env: Record<string, string>,
  options: { args?: readonly string[]; timeout?: number } = {},
): Promise<TestServer> {
  const port = env['PORT'] ?? String(await freePort());
  const server = startNode('bin/rxledger.js', options.args ?? ['serve'], { env: { ...env, PORT: port } });
  const address = `http://127.0.0.1:${port}`;
  try {
    await ready(server, address, options.timeout ?? 120_000);
  } catch (error) {
    await server.kill();
    const said = (server.stdout() + server.stderr()).trim().split('\n').slice(-15).join('\n');
    throw new Error(
      `the server did not get ready: ${error instanceof Error ? error.message : 'for no reason'}\n${said}`,
      { cause: error },
    );
  }
  return { ...server, address };
}

/** Waits until `GET /health/ready` answers 200. @throws {Error} when the process ends or the time (ms) is over. */
async function ready(server: TestProcess, address: string, timeout: number): Promise<void> {
  let exit: string | null = null;
  void server.ended.then(({ code, signal }) => (exit = `it ended with ${signal ?? code}`));
  const state = await until(
    async () => exit ?? (await fetch(`${address}/health/ready`, { signal: AbortSignal.timeout(2000) })).ok,
    { timeout, what: 'GET /health/ready answers 200' },
  );
  if (typeof state === 'string') throw new Error(state);
}

function watch(child: ChildProcess): TestProcess {
  const { pid, stdout, stderr } = child;
  if (pid === undefined || !stdout || !stderr) throw new Error(`cannot start ${child.spawnfile}`);
  const said = { stdout: '', stderr: '' };
  stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));

  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  let over = false;
  const ended: TestProcess['ended'] = new Promise((tell) => {
    child.once('close', (code, signal) => {
      over = true;
      process.off('exit', end);
      tell({ code, signal });
    });
  });

  const wholeLines = () =>
    [said.stdout, said.stderr].flatMap((text) => (over ? text.split('\n') : text.split('\n').slice(0, -1)));
  const find = (pattern: RegExp) => {
    for (const line of wholeLines()) {
      const match = line.match(pattern);
      if (match) return match;
    }
    return null;
  };
  return {
    pid,
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    ended,
    async line(pattern, timeout = 60_000) {
      const match = await until(() => find(pattern) ?? (over ? 'ended' : null), {
        timeout,
        what: `a line like ${pattern}`,
      });
      if (match === 'ended') throw new Error(`ended without a line like ${pattern}:\n${said.stdout}${said.stderr}`);
      return match;
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async terminate() {
      child.kill('SIGTERM');
      return (await ended).code;
    },
  };
}
