import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { canInstall, installPackages, which } from '../../src/cli/service/machine.js';
import { endChild, launchRedis } from '../../src/cli/service/redis-finder.js';

/**
 * A private Redis, configured as in production (append-only file, noeviction), that a test may stop, kill and empty.
 */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Stops it as a service manager would; the data stay for {@link start}. */
  halt(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same port; `empty` forgets all data first. */
  start(empty?: boolean): Promise<void>;
  flush(): Promise<void>;
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>;
}

/**
 * The path of `redis-server`, installed when it is missing and can be.
 * @throws {Error} saying why there is none.
 */
export async function redisBinary(): Promise<string> {
  const found = which('redis-server');
  if (found) return found;
  if (!canInstall()) throw new Error('redis-server is not installed, and only root with apt-get can install it');
  await installPackages(['redis-server']);
  const installed = which('redis-server');
  if (!installed) throw new Error('redis-server is not on PATH after its installation');
  return installed;
}

/** @throws {Error} saying why there is none. */
export async function startRedis(): Promise<TestRedis> {
  const binary = await redisBinary();
  const dir = await mkdtemp(join(tmpdir(), 'rxledger-redis-'));
  const password = 'test';
  const first = await launchRedis(binary, { dir, password });
  const { port } = first;
  const url = `redis://:${password}@127.0.0.1:${port}`;
  let child: ChildProcess = first.child;
  return {
    url,
    port,
    halt: () => endChild(child, 'SIGTERM'),
    kill: () => endChild(child, 'SIGKILL'),
    async start(empty = false) {
      if (child.exitCode === null && child.signalCode === null) throw new Error('this Redis is running');
      if (empty) await rm(join(dir, 'appendonlydir'), { recursive: true, force: true });
      child = (await launchRedis(binary, { dir, password, port })).child;
    },
    async flush() {
      const client = new Redis(url, { maxRetriesPerRequest: 1 });
      await client.flushall().finally(() => client.disconnect());
    },
    async stop() {
      await endChild(child, 'SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}
