/**
 * `npm run bench:door [-- --json] [--against folder] [--clients n] [--seconds s]`
 *
 * How long a write takes while nobody disturbs, and while sixteen clients without a token send a megabyte of JSON each,
 * again and again. With `--against` the same for the build in another folder.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
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
  },
});
const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`);

/** Latencies of one writer in ms. */
interface Latency {
  readonly p50: number;
  readonly p99: number;
}

const load = startLoad();
const redis = await startRedis();
const results: Record<string, { readonly idle: Latency; readonly crowded: Latency }> = {};
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

async function writesOf(name: string, build: string): Promise<{ idle: Latency; crowded: Latency }> {
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
    return { idle, crowded };
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}
