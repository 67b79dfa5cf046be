/**
 * `npm run bench:door [-- --json] [--against folder] [--clients n] [--seconds s] [--names n]`
 *
 * How long a write takes while nobody disturbs, and while sixteen clients without a token send a megabyte of JSON each,
 * again and again. With `--against` the same for the build in another folder.
 *
 * Then how well the time of a refused sign-in tells a user name that exists from one that does not: the area under the
 * curve (AUC; 0.5 tells nothing), over `--names` of each, idle and beside twenty writers. No name is locked.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { startRedis } from '../support/redis.js';
import { startCrowd, startLoad, startServer } from './children.js';
import * as ownOrders from './order.js';

const PASSWORD = 'bench-password';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    against: { type: 'string' },
    clients: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '10' },
    names: { type: 'string', default: '1000' },
  },
});
const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`);

/** Latencies of one writer in ms. */
interface Latency {
  readonly p50: number;
  readonly p99: number;
}

interface Result {
  readonly idle: Latency;
  readonly crowded: Latency;
  readonly signIn: { readonly quiet: number; readonly busy: number };
}

const load = startLoad();
const redis = await startRedis();
const results: Record<string, Result> = {};
try {
  for (const [name, build] of [
    ['here', process.cwd()],
    ...(options.against ? [['there', resolve(options.against)]] : []),
  ] as const) {
    results[name] = await writesOf(name, build);
  }
} finally {
  await load.stop();
  await redis.stop();
}
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);

async function writesOf(name: string, build: string): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rxledger-door-'));
  const { signIn, orders } =
    build === process.cwd()
      ? ownOrders
      : ((await import(pathToFileURL(join(build, 'dist/test/bench/order.js')).href)) as typeof ownOrders);
  const server = await startServer(
    'server.js',
    {
      NODE_ENV: 'development',
      DATA_DIR: dataDir,
      DATABASE_URL: '',
      REDIS_URL: redis.url,
      DEMO_PASSWORD: PASSWORD,
      // One account here writes as many as a whole hospital does.
      REQUESTS_PER_MINUTE: '1000000000',
      SIGN_IN_PER_MINUTE: '1000000',
    },
    build,
  );
  try {
    const token = await signIn(`http://127.0.0.1:${server.port}`, PASSWORD);
    const shot = {
      port: server.port,
      path: '/api/prescriptions',
      token,
      connections: 1,
      bodies: orders(server.patients),
    };
    const milliseconds = Number(options.seconds) * 1000;
    await load.run({ ...shot, milliseconds: 4000, prefix: 'w-' });
    const idle = await load.run({ ...shot, milliseconds, prefix: 'i-' });
    const crowd = await startCrowd(server.port, Number(options.clients));
    const crowded = await load.run({ ...shot, milliseconds, prefix: 'c-' });
    await crowd.stop();
    say(name);
    say(`  one writer, idle:                    median ${idle.p50.toFixed(1)} ms, p99 ${idle.p99.toFixed(1)} ms`);
    say(
      `  beside ${options.clients} clients without a token:  median ${crowded.p50.toFixed(1)} ms, p99 ${crowded.p99.toFixed(1)} ms (${(crowded.p50 / idle.p50).toFixed(1)} of idle; ${crowded.answered} writes)`,
    );
    const address = `http://127.0.0.1:${server.port}`;
    await makeAccounts(address, Number(options.names));
    const quiet = await aucOf(address, Number(options.names));
    const writing = load.run({ ...shot, connections: 20, milliseconds: 86_400_000, prefix: 'b-' });
    writing.catch(() => undefined);
    const busy = await aucOf(address, Number(options.names));
    say(
      `  does a refused sign-in tell which names exist (AUC): ${quiet.toFixed(3)} idle, ${busy.toFixed(3)} beside 20 writers`,
    );
    return { idle, crowded, signIn: { quiet, busy } };
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function user(at: number): string {
  return `user-${at}`;
}

async function makeAccounts(address: string, names: number): Promise<void> {
  const token = await signInAs(address, 'admin');
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < names) {
      const username = user(next++);
      const body = { username, name: username, role: 'auditor', password: 'a-long-password' };
      const response = await post(`${address}/api/accounts`, body, token);
      if (response.status !== 201) throw new Error(`POST /api/accounts: ${response.status}`);
    }
  };
  await Promise.all(Array.from({ length: 4 }, one));
}

/** Each name is tried once with a wrong password, known and unknown ones in turn. */
async function aucOf(address: string, names: number): Promise<number> {
  const [known, unknown]: [number[], number[]] = [[], []];
  for (let at = 0; at < names; at += 1) {
    const tries = [
      [known, user(at)],
      [unknown, `nobody-${randomUUID()}`],
    ] as const;
    for (const [times, username] of at % 2 === 0 ? tries : tries.toReversed()) {
      const began = performance.now();
      const { status } = await post(`${address}/api/auth/sign-in`, { username, password: 'wrong' });
      times.push(performance.now() - began);
      if (status !== 401) throw new Error(`sign-in: ${status}`);
    }
  }
  let above = 0;
  for (const one of known) for (const other of unknown) above += one > other ? 1 : one === other ? 0.5 : 0;
  return above / (known.length * unknown.length);
}

async function signInAs(address: string, username: string): Promise<string> {
  const response = await post(`${address}/api/auth/sign-in`, { username, password: PASSWORD });
  return z.object({ accessToken: z.string() }).parse(await response.json()).accessToken;
}

async function post(url: string, body: unknown, token?: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return new Response(await response.text(), { status: response.status });
}
