/**
 * `npm run bench:log [-- --json] [--sizes 10000,1000000] [--requests n] [--connections n]`
 *
 * Checkpoint, tiles and proofs of a small and of a large log over HTTP: what costs more with the size of the log would
 * show. Both services run at the same time and are asked in turn, so that a busy machine favours neither.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { tilePath } from '../../src/ledger/core/tlog/tiles.js';
import { makeBulkLog } from './bulk-log.js';
import { type ServerProcess, startServer } from './children.js';
import { hammer, type Latencies } from './get-load.js';
import { median } from './measure.js';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '10000,1000000' },
    requests: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '5' },
  },
});
const sizes = options.sizes.split(',').map(Number);
const requests = Number(options.requests);
const connections = Number(options.connections);
const say = options.json ? () => {} : (line: string) => process.stdout.write(`${line}\n`);

/** Different paths of one kind, spread over the whole log, so that no cache holds them all. */
const KINDS: Readonly<Record<string, (size: number, at: (below: number) => number) => string>> = {
  checkpoint: () => '/log/checkpoint',
  tile: (size, at) => `/log/${tilePath(0, at(Math.floor(size / 256)))}`,
  proof: (size, at) => `/log/proof/${at(size)}`,
  consistency: (size, at) => {
    const older = 1 + at(size - 1);
    return `/log/consistency/${older}/${older + at(size - older + 1)}`;
  },
};

interface Result {
  readonly size: number;
  /** Memory of the server's process, bytes: after its start and after everything that was asked. */
  readonly memory: { readonly before: number; readonly after: number };
  readonly routes: Readonly<Record<string, Latencies>>;
}

interface Running {
  readonly size: number;
  readonly server: ServerProcess;
  readonly before: number;
  readonly measured: Map<string, Latencies[]>;
}

const folder = await mkdtemp(join(tmpdir(), 'rxledger-bench-log-'));
const running: Running[] = [];
try {
  for (const size of sizes) {
    const began = performance.now();
    const dataDir = join(folder, String(size));
    await makeBulkLog(dataDir, size);
    say(`a log of ${size.toLocaleString('en')} entries, made in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const env = {
      NODE_ENV: 'development',
      DATA_DIR: dataDir,
      DATABASE_URL: '',
      REDIS_URL: '',
      ANONYMOUS_PER_MINUTE: '1000000000',
    };
    const server = await startServer('log-server.js', env);
    running.push({ size, server, before: await memoryOf(server), measured: new Map() });
  }
  for (let round = 0; round <= Number(options.rounds); round++) await measure(round);
  const results: Result[] = [];
  for (const { size, server, before, measured } of running) {
    const routes = Object.fromEntries([...measured].map(([kind, all]) => [kind, summary(all)]));
    results.push({ size, memory: { before, after: await memoryOf(server) }, routes });
  }
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else show(results);
} finally {
  for (const { server } of running) await server.stop();
  await rm(folder, { recursive: true, force: true });
}

/** The first round warms up and does not count. */
async function measure(round: number): Promise<void> {
  for (const kind of Object.keys(KINDS)) {
    for (const { size, server, measured } of round % 2 === 0 ? running : running.toReversed()) {
      const at = sequence(round + 1);
      const paths = Array.from({ length: requests }, () => KINDS[kind]!(size, at));
      const latencies = await hammer(server.port, paths, requests, connections);
      if (round > 0) measured.set(kind, [...(measured.get(kind) ?? []), latencies]);
    }
  }
}

/** The same numbers in every run. @returns whole numbers below what is asked for (Numerical Recipes' generator) */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function summary(all: readonly Latencies[]): Latencies {
  const of = (pick: (one: Latencies) => number): number => median(all.map(pick));
  return {
    perSecond: of(({ perSecond }) => perSecond),
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    max: of(({ max }) => max),
  };
}

async function memoryOf(server: ServerProcess): Promise<number> {
  return (await server.cpu()).memory;
}

function show(results: readonly Result[]): void {
  const [small] = results;
  for (const { size, memory, routes } of results) {
    say(`\n${size.toLocaleString('en')} entries, ${connections} connections, ${requests} requests a round`);
    for (const [kind, { perSecond, p50, p99 }] of Object.entries(routes)) {
      const times = p99 / (small?.routes[kind]?.p99 ?? Number.NaN);
      say(
        `  ${kind.padEnd(12)} ${Math.round(perSecond).toLocaleString('en').padStart(6)}/s   p50 ${p50.toFixed(2)} ms   p99 ${p99.toFixed(2)} ms   ${times.toFixed(2)} of the smallest log's p99`,
      );
    }
    say(`  memory       ${megabytes(memory.before)} after the start, ${megabytes(memory.after)} at the end`);
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
