import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { probingConnection } from '../../queue/redis.js';
import { canInstall, freePort, installPackages, isAlive, type Say, tethered, which } from './machine.js';

/** A Redis for queues. `stop` ends it only when it belongs to this process. */
export interface FoundRedis {
  readonly url: string;
  stop(): Promise<void>;
}

export interface RedisSearch {
  /** `REDIS_URL` if the operator named one; used without checks. */
  readonly url?: string | undefined;
  /** `DATA_DIR`; a Redis started here keeps its files in its folder `redis`. */
  readonly dataDir: string;
  readonly log: Say;
  /** How far to go: use a running one, else start one, else install it first (default `start`). */
  readonly upTo?: 'find' | 'start' | 'install';
  /** Port on which to look for a running Redis. */
  readonly standardPort?: number;
}

/** No Redis is named, found or can be started. The message says in one line what to do. */
export class RedisMissing extends Error {}

/** BullMQ needs streams and Lua as of Redis 6. */
const OLDEST_REDIS = 6;

/**
 * The Redis of this process. It is the named one, else the one running in this data folder, else one on the standard
 * port that suits queues. Otherwise a `redis-server` is started as a child, if necessary after installing it (root on
 * Debian or Ubuntu). Only the demo and tests install it. In production it is not started either.
 * @throws {RedisMissing} when none can be found or started
 */
export async function findRedis({
  url,
  dataDir,
  log,
  standardPort = 6379,
  upTo = 'start',
}: RedisSearch): Promise<FoundRedis> {
  if (url) return { url, stop: async () => {} };

  const dir = join(dataDir, 'redis');
  const running = await runningIn(dir);
  if (running) {
    log(`Using the Redis that runs in ${dir}.`);
    return running;
  }

  const standard = `redis://127.0.0.1:${standardPort}`;
  if (await fitForQueues(standard)) {
    log(`Using the Redis found at ${standard}.`);
    return { url: standard, stop: async () => {} };
  }

  if (upTo === 'find') throw new RedisMissing(`No Redis found at ${standard}: name one in REDIS_URL.`);
  const binary = which('redis-server') ?? (upTo === 'install' ? await install(log) : null);
  if (binary === null) throw new RedisMissing(MISSING);
  return startIn(dir, binary, log);
}

/** The data that this process needs about a Redis started by another process with this data folder. */
const Server = z.object({
  port: z.int(),
  password: z.string(),
  /** Process id of the RxLedger process that ends it. */
  owner: z.int(),
});
type Server = z.infer<typeof Server>;

const serverFile = (dir: string) => join(dir, 'server.json');
const urlOf = ({ port, password }: Pick<Server, 'port' | 'password'>) => `redis://:${password}@127.0.0.1:${port}`;

/** Two servers must never share one append-only file: so a running one is used, and an orphan is adopted. */
async function runningIn(dir: string): Promise<FoundRedis | null> {
  const server = await readServer(dir);
  if (!server) return null;
  const url = urlOf(server);
  const info = await infoOf(url);
  if (!info) return null;
  if (isAlive(server.owner)) return { url, stop: async () => {} };

  await writeServer(dir, { ...server, owner: process.pid });
  return {
    url,
    stop: async () => {
      const client = probingConnection(url);
      await client.connect();
      const gone = once(client, 'end');
      process.kill(Number(info.get('process_id')), 'SIGTERM');
      await gone;
      await rm(serverFile(dir), { force: true });
    },
  };
}

async function startIn(dir: string, binary: string, log: Say): Promise<FoundRedis> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  const { child, port } = await launchRedis(binary, { dir, password });
  await writeServer(dir, { port, password, owner: process.pid });
  log(`Started a Redis for this process on port ${port}, data in ${dir}.`);
  return {
    url: urlOf({ port, password }),
    stop: async () => {
      await endChild(child, 'SIGTERM');
      await rm(serverFile(dir), { force: true });
    },
  };
}

const MISSING =
  'No Redis found: install redis-server 6 or later (Debian, Ubuntu: apt-get install redis-server), or name one in REDIS_URL.';

async function install(log: Say): Promise<string> {
  if (!canInstall()) throw new RedisMissing(MISSING);
  log('No Redis found: installing one with `apt-get install redis-server`. Its service is not started.');
  try {
    await installPackages(['redis-server']);
  } catch (error) {
    throw new RedisMissing(`${MISSING} (${error instanceof Error ? error.message : 'the installation failed'})`);
  }
  const binary = which('redis-server');
  if (!binary) throw new RedisMissing(MISSING);
  return binary;
}

/**
 * Starts a Redis as a child: loopback, append-only file, noeviction (a queue must not lose jobs to make room). The
 * child gets a process group of its own, so that Ctrl-C reaches this process first.
 * @param options.dir existing folder of its files
 * @param options.port a port to insist on; without it a free one
 * @throws {Error} with the last output of Redis, when it does not start
 */
export async function launchRedis(
  binary: string,
  options: { dir: string; password: string; port?: number },
): Promise<{ child: ChildProcess; port: number }> {
  let attempt = 0;
  for (;;) {
    const port = options.port ?? (await freePort());
    try {
      return { child: await spawnRedis(binary, options.dir, port, options.password), port };
    } catch (error) {
      // Another process may have taken the free port meanwhile.
      attempt += 1;
      if (options.port !== undefined || attempt === 3) throw error;
    }
  }
}

async function spawnRedis(binary: string, dir: string, port: number, password: string): Promise<ChildProcess> {
  const { command, args } = tethered(binary, ['-'], 'KILL');
  const child = spawn(command, args, {
    cwd: dir,
    detached: true,
    // Redis 7.2 refuses to start under a locale that the machine does not have.
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  let last = '';
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`redis-server did not start: ${last}`)));
  });
  // The configuration goes through stdin, since every user of the machine can read arguments.
  child.stdin
    .on('error', () => {})
    .end(
      [
        'bind 127.0.0.1',
        `port ${port}`,
        `requirepass ${password}`,
        'dir ./',
        'appendonly yes',
        'save ""',
        'maxmemory-policy noeviction',
        'daemonize no',
      ].join('\n'),
    );
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.trim() !== '') last = line.trim();
      if (line.includes('Ready to accept connections')) resolve();
    });
  });
  await Promise.race([ready, ended]);
  ended.catch(() => {});
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  child.unref();
  return child;
}

/** Sends the signal and waits until the child is gone. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.ref();
  child.kill(signal);
  await gone;
}

async function fitForQueues(url: string): Promise<boolean> {
  const info = await infoOf(url);
  if (!info) return false;
  const version = Number.parseInt(info.get('redis_version') ?? '0', 10);
  return version >= OLDEST_REDIS && info.get('maxmemory_policy') === 'noeviction' && info.get('role') === 'master';
}

/** The answer of `INFO`, by field; null when nothing answers, or a password is needed. */
async function infoOf(url: string): Promise<Map<string, string> | null> {
  const client = probingConnection(url);
  try {
    await client.connect();
    const fields = (await client.info()).split('\r\n').map((line) => line.split(':', 2));
    return new Map(fields.flatMap(([name, value]) => (name && value !== undefined ? [[name, value]] : [])));
  } catch {
    return null;
  } finally {
    client.disconnect();
  }
}

async function readServer(dir: string): Promise<Server | null> {
  try {
    return Server.parse(JSON.parse(await readFile(serverFile(dir), 'utf8')));
  } catch {
    // There is no file, or a crash cut it short: no Redis to use.
    return null;
  }
}

function writeServer(dir: string, server: Server): Promise<void> {
  return writeFile(serverFile(dir), JSON.stringify(server), { mode: 0o600 });
}
