/**
 * `npm run bench:http [-- --json] [--engine sqlite|postgres] [--pairs n] [--seconds s] [--connections n]
 * [--against folder]`
 *
 * The durable POST of a prescription against a no-op POST of the same server, in turn. The no-op checks the same token
 * and the same body and answers as many bytes; beside it the same with one transaction per event (a batch cap of one).
 *
 * With `--against` the durable POST of this build and that of the build in another folder, in turn and in the same run.
 * `npm run build` made its `dist`. Each has a server and a database of its own, and gets the orders of its build.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../support/postgres.js';
import { startRedis } from '../support/redis.js';
import { type LoadProcess, startLoad, startServer } from './children.js';
import { postgresSize, sqliteSize } from './growth.js';
import {
  compare,
  type Comparison,
  type Durable,
  NOOP,
  type Plan,
  race,
  type Race,
  type Route,
  type Target,
} from './measure.js';
import * as ownOrders from './order.js';

type Engine = 'sqlite' | 'postgres';

interface Result extends Comparison {
  readonly oneByOne: Comparison;
  /** Requests per second that the load generator reaches against a server that does nothing. */
  readonly clientCeiling: number;
}

const PASSWORD = 'bench-password';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    engine: { type: 'string', multiple: true },
    pairs: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    against: { type: 'string' },
  },
});
const plan: Plan = {
  pairs: Number(options.pairs),
  milliseconds: Number(options.seconds) * 1000,
  warmUpMilliseconds: 4000,
  connections: Number(options.connections),
};
const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`);

const load = startLoad();
const redis = await startRedis();
const results: Partial<Record<Engine, Result | Race>> = {};
try {
  const clientCeiling = await ceiling(load);
  say(`load generator: ${round(clientCeiling)} requests/s against a server that does nothing`);
  for (const engine of ['sqlite', 'postgres'] as const) {
    if (options.engine && !options.engine.includes(engine)) continue;
    say(`\n${engine}, ${plan.connections} connections, ${plan.pairs} pairs of ${options.seconds} s after warm-up`);
    results[engine] =
      options.against === undefined
        ? { ...(await againstNoop(engine)), clientCeiling }
        : await againstBuild(engine, resolve(options.against));
  }
} finally {
  await load.stop();
  await redis.stop();
}
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);

async function againstNoop(engine: Engine): Promise<Omit<Result, 'clientCeiling'>> {
  const grouped = await withServer(engine, {}, process.cwd(), (target) => compare(load, target, plan));
  show('durable against no-op', grouped, { durable: grouped.durable, 'no-op': grouped.noop });
  const few = { ...plan, pairs: Math.min(3, plan.pairs) };
  const oneByOne = await withServer(engine, { WRITER_BATCH: '1' }, process.cwd(), (target) =>
    compare(load, target, few),
  );
  show('the same, one transaction per event', oneByOne, { durable: oneByOne.durable, 'no-op': oneByOne.noop });
  return { ...grouped, oneByOne };
}

async function againstBuild(engine: Engine, folder: string): Promise<Race> {
  const result = await withServer(engine, {}, process.cwd(), (here) =>
    withServer(engine, {}, folder, (there) => race(load, here, there, plan)),
  );
  const { here, there } = result;
  show('writes per second, here against there', result, { here, there });
  say(`  bytes per event, here against there: ${(here.bytesPerEvent / there.bytesPerEvent).toFixed(2)}`);
  return result;
}

/** A fresh database and a fresh server of a build. */
async function withServer<T>(
  engine: Engine,
  settings: Record<string, string>,
  build: string,
  measure: (target: Target) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rxledger-bench-'));
  const postgres = engine === 'postgres' ? await startPostgres() : null;
  try {
    const url = postgres && (await postgres.createDatabase());
    const server = await startServer(
      'server.js',
      {
        NODE_ENV: 'development',
        DATA_DIR: dataDir,
        DATABASE_URL: url ?? '',
        REDIS_URL: redis.url,
        DEMO_PASSWORD: PASSWORD,
        // One account here writes as many as a whole hospital does.
        REQUESTS_PER_MINUTE: '1000000000',
        ...settings,
      },
      build,
    );
    try {
      const { signIn, orders } = await ordersOf(build);
      const token = await signIn(`http://127.0.0.1:${server.port}`, PASSWORD);
      const size = () => (url === null ? sqliteSize(dataDir) : postgresSize(url));
      return await measure({ server, token, bodies: orders(server.patients), size });
    } finally {
      await server.stop();
    }
  } finally {
    await postgres?.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** How that build's API is signed in to, and what it takes for an order. */
async function ordersOf(build: string): Promise<typeof ownOrders> {
  if (build === process.cwd()) return ownOrders;
  return (await import(pathToFileURL(join(build, 'dist/test/bench/order.js')).href)) as typeof ownOrders;
}

async function ceiling(generator: LoadProcess): Promise<number> {
  const server = await startServer('trivial.js', {});
  const shot = {
    port: server.port,
    path: NOOP,
    token: 'none',
    connections: plan.connections,
    bodies: ownOrders.orders(['4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a01']),
  };
  await generator.run({ ...shot, milliseconds: 1000, prefix: 'warm-' });
  const { perSecond } = await generator.run({ ...shot, milliseconds: 2000, prefix: 'ceiling-' });
  await server.stop();
  return perSecond;
}

function show(
  what: string,
  { ratio, ratios, clientCpu }: Comparison | Race,
  routes: Readonly<Record<string, Route | Durable>>,
): void {
  say(`  ${what}: ${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`);
  for (const [name, route] of Object.entries(routes)) {
    const { perSecond, p50, p99, cpu, busy, answerBytes } = route;
    const growth = 'bytesPerEvent' in route ? `   database +${round(route.bytesPerEvent)} bytes/event` : '';
    say(`  ${name.padEnd(8)} ${round(perSecond)}/s   p50 ${p50.toFixed(1)} ms   p99 ${p99.toFixed(1)} ms${growth}`);
    say(
      `  ${' '.repeat(8)} CPU ${round(cpu)} µs/request, ${round(busy)} of them on the event loop; ${round(answerBytes)} bytes/answer`,
    );
  }
  say(`  the load generator used at most ${Math.round(clientCpu * 100)} % of a core`);
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en');
}
