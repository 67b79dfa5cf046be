import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { endChild } from '../../src/cli/service/redis-finder.js';
import { type Load, Measured } from './load.js';

/** The load generator's process. */
export interface LoadProcess {
  run(load: Load): Promise<Measured>;
  stop(): Promise<void>;
}

/** A server's process, that tells the CPU time it has used. */
export interface ServerProcess {
  readonly port: number;
  /** Ids of the patients that it enrolled. */
  readonly patients: readonly string[];
  cpu(): Promise<Cpu>;
  /** From now on its no-op answers with so many bytes. */
  answerWith(bytes: number): Promise<void>;
  stop(): Promise<void>;
}

/** Time that a server has used so far, in microseconds. */
export interface Cpu {
  /** User and system time of all threads. */
  readonly cpu: number;
  /** Time in which the event loop was not idle. */
  readonly busy: number;
  /** Bytes of memory that the process occupies; 0 where it does not say. */
  readonly memory: number;
}

export function startLoad(): LoadProcess {
  const child = start('load.js', {});
  return {
    async run(load) {
      child.send(load);
      return Measured.parse(await answer(child));
    },
    stop: () => endChild(child, 'SIGKILL'),
  };
}

/** Clients that disturb a server ({@link file://./crowd.ts}) until they are stopped. */
export async function startCrowd(port: number, clients: number): Promise<{ stop(): Promise<void> }> {
  const child = start('crowd.js', {});
  child.send({ port, clients });
  await answer(child);
  return { stop: () => endChild(child, 'SIGKILL') };
}

/**
 * @param script `server.js`, `log-server.js` or `trivial.js`, which says its port when it listens
 * @param build folder of the build whose script it is (default: this one)
 */
export async function startServer(
  script: string,
  env: Record<string, string>,
  build = process.cwd(),
): Promise<ServerProcess> {
  const child = start(script, env, build);
  const ready = z.object({ port: z.int(), patients: z.array(z.string()).default([]) });
  const said = z.object({ cpu: z.number(), busy: z.number(), memory: z.number().default(0) });
  // Whatever it is told, it answers with the time that it has used.
  const tell = async (message: string | number): Promise<Cpu> => {
    child.send(message);
    return said.parse(await answer(child));
  };
  return {
    ...ready.parse(await answer(child)),
    cpu: () => tell('cpu'),
    async answerWith(bytes) {
      await tell(bytes);
    },
    stop: () => endChild(child, 'SIGKILL'),
  };
}

/** The flags that `rxledger` itself runs with: those of its first line. */
function nodeFlags(build: string): string[] {
  const [line = ''] = readFileSync(join(build, 'bin/rxledger.js'), 'utf8').split('\n', 1);
  return line.split(' ').filter((word) => word.startsWith('--'));
}

function start(script: string, env: Record<string, string>, build = process.cwd()): ChildProcess {
  const child = fork(join(build, 'dist/test/bench', script), {
    cwd: build,
    execArgv: nodeFlags(build),
    env: { ...process.env, ...env },
    // What a server logs is written, as in production, and thrown away.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  return child;
}

/** @throws {Error} when the process ends instead. */
async function answer(child: ChildProcess): Promise<unknown> {
  const stop = new AbortController();
  const gone = once(child, 'exit', { signal: stop.signal }).then(([code]) => {
    throw new Error(`${child.spawnargs.at(-1) ?? 'a process'} ended with ${String(code)}`);
  });
  const said: Promise<unknown[]> = once(child, 'message', { signal: stop.signal });
  try {
    const [message] = await Promise.race([said, gone]);
    return message;
  } finally {
    stop.abort();
    await Promise.allSettled([gone, said]);
  }
}
