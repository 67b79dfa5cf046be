import type { LoadProcess, ServerProcess } from './children.js';
import type { Measured } from './load.js';

/** How long and how hard; the same for every engine. */
export interface Plan {
  readonly connections: number;
  readonly pairs: number;
  readonly milliseconds: number;
  readonly warmUpMilliseconds: number;
}

/** What is hit, with which bodies. */
export interface Target {
  readonly server: ServerProcess;
  readonly token: string;
  readonly bodies: readonly string[];
}

/**
 * One route under load: medians over the windows. Latencies in ms; µs per request of CPU of the server process, and
 * of its event loop alone.
 */
export interface Route {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpu: number;
  readonly busy: number;
}

export interface Comparison {
  /** Median over the pairs of durable / no-op requests per second. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  readonly durable: Route;
  readonly noop: Route;
  /** Largest share of one core that the load generator used in a window. */
  readonly clientCpu: number;
}

export const DURABLE = '/api/prescriptions';
export const NOOP = '/bench/noop';

let windows = 0;

/**
 * Both routes of one server in turn, after warm-up; the order within a pair alternates, so that drift
 * favours neither.
 * @throws {Error} when a request is refused: a bench of refusals says nothing.
 */
export async function compare(load: LoadProcess, target: Target, plan: Plan): Promise<Comparison> {
  const warmUp = { ...plan, milliseconds: plan.warmUpMilliseconds };
  await window(load, target, DURABLE, warmUp);
  await window(load, target, NOOP, warmUp);

  const durable: Window[] = [];
  const noop: Window[] = [];
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    const routes = pair % 2 === 0 ? [DURABLE, NOOP] : [NOOP, DURABLE];
    for (const path of routes) {
      (path === DURABLE ? durable : noop).push(await window(load, target, path, plan));
    }
  }
  const ratios = durable.map(({ perSecond }, pair) => perSecond / (noop[pair]?.perSecond ?? Number.NaN));
  return {
    ratio: median(ratios),
    ratios,
    durable: summary(durable),
    noop: summary(noop),
    clientCpu: Math.max(...[...durable, ...noop].map(({ ownCpu }) => ownCpu)),
  };
}

interface Window extends Measured {
  readonly cpu: number;
  readonly busy: number;
}

async function window(load: LoadProcess, { server, token, bodies }: Target, path: string, plan: Plan): Promise<Window> {
  windows += 1;
  const before = await server.cpu();
  const measured = await load.run({
    port: server.port,
    path,
    token,
    connections: plan.connections,
    milliseconds: plan.milliseconds,
    bodies: [...bodies],
    prefix: `b${process.pid}-${windows}-`,
  });
  const after = await server.cpu();
  if (Object.keys(measured.failed).length > 0 || measured.answered === 0) {
    throw new Error(`POST ${path}: ${measured.answered} answered, failed: ${JSON.stringify(measured.failed)}`);
  }
  return {
    ...measured,
    cpu: (after.cpu - before.cpu) / measured.answered,
    busy: (after.busy - before.busy) / measured.answered,
  };
}

function summary(all: readonly Window[]): Route {
  return {
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
    cpu: median(all.map(({ cpu }) => cpu)),
    busy: median(all.map(({ busy }) => busy)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
