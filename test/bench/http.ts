/**
 * `npm run bench:http [-- --json] [--engine sqlite|postgres] [--pairs n] [--seconds s] [--connections n]`
 *
 * The durable POST of a prescription against a no-op POST of the same server that checks the same token and
 * the same body, in turn, and beside it the same with one transaction per event (a batch cap of one).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../support/postgres.js';
import { startRedis } from '../support/redis.js';
import { type LoadProcess, startLoad, startServer } from './children.js';
import { compare, type Comparison, NOOP, type Plan, type Route } from './measure.js';
import { orders, signIn } from './order.js';

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
const results: Partial<Record<Engine, Result>> = {};
try {
  const clientCeiling = await ceiling(load);
  say(`load generator: ${round(clientCeiling)} requests/s against a server that does nothing`);
  for (const engine of ['sqlite', 'postgres'] as const) {
    if (options.engine && !options.engine.includes(engine)) continue;
    say(`\n${engine}, ${plan.connections} connections, ${plan.pairs} pairs of ${options.seconds} s after warm-up`);
    const grouped = await measure(engine, {}, plan);
    show(grouped, `durable against no-op`);
    const oneByOne = await measure(engine, { WRITER_BATCH: '1' }, { ...plan, pairs: Math.min(3, plan.pairs) });
    show(oneByOne, `the same, one transaction per event`);
    results[engine] = { ...grouped, oneByOne, clientCeiling };
  }
} finally {
  await load.stop();
  await redis.stop();
}
if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);

/** A fresh database and a fresh server for each measurement. */
async function measure(engine: Engine, settings: Record<string, string>, wanted: Plan): Promise<Comparison> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rxledger-bench-'));
  const postgres = engine === 'postgres' ? await startPostgres() : null;
  try {
    const server = await startServer('server.js', {
      NODE_ENV: 'development',
      DATA_DIR: dataDir,
      DATABASE_URL: postgres ? await postgres.createDatabase() : '',
      REDIS_URL: redis.url,
      DEMO_PASSWORD: PASSWORD,
      ...settings,
    });
    try {
      const token = await signIn(`http://127.0.0.1:${server.port}`, PASSWORD);
      return await compare(load, { server, token, bodies: orders(server.patients) }, wanted);
    } finally {
      await server.stop();
    }
  } finally {
    await postgres?.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function ceiling(generator: LoadProcess): Promise<number> {
  const server = await startServer('trivial.js', {});
  const shot = {
    port: server.port,
    path: NOOP,
    token: 'none',
    connections: plan.connections,
    bodies: orders(['4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a01']),
  };
  await generator.run({ ...shot, milliseconds: 1000, prefix: 'warm-' });
  const { perSecond } = await generator.run({ ...shot, milliseconds: 2000, prefix: 'ceiling-' });
  await server.stop();
  return perSecond;
}

function show({ ratio, ratios, durable, noop, clientCpu }: Comparison, what: string): void {
  const line = (name: string, { perSecond, p50, p99, cpu, busy }: Route) =>
    say(
      `  ${name.padEnd(8)} ${round(perSecond)}/s   p50 ${p50.toFixed(1)} ms   p99 ${p99.toFixed(1)} ms   CPU ${round(cpu)} µs/request, ${round(busy)} of them on the event loop`,
    );
  say(`  ${what}: ${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`);
  line('durable', durable);
  line('no-op', noop);
  say(`  the load generator used at most ${Math.round(clientCpu * 100)} % of a core`);
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en');
}
