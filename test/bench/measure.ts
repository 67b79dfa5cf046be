import type { LoadProcess, ServerProcess } from './children.js';
import type { Size } from './growth.js';
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
  /** How large its ledger is now. */
  size(): Promise<Size>;
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
  /** Bytes of an answer. */
  readonly answerBytes: number;
}

/** The durable route; with how many bytes the database grows for an event, warm-up included. */
export interface Durable extends Route {
  readonly bytesPerEvent: number;
}

interface Ratio {
  /** Median over the pairs. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  /** Largest share of one core that the load generator used in a window. */
  readonly clientCpu: number;
}

/** Requests per second of the durable route, as a share of those of the no-op. */
export interface Comparison extends Ratio {
  readonly durable: Durable;
  readonly noop: Route;
}

/** Requests per second of this build's durable route, as a share of those of another build. */
export interface Race extends Ratio {
  readonly here: Durable;
  readonly there: Durable;
}

const DURABLE = '/api/prescriptions';
export const NOOP = '/bench/noop';

let windows = 0;

/**
 * Both routes of one server in turn, after warm-up. The no-op answers as many bytes as the durable route did last.
 * @throws {Error} when a request is refused: a bench of refusals says nothing.
 */
export async function compare(load: LoadProcess, target: Target, plan: Plan): Promise<Comparison> {
  const grown = await growthOf(target);
  const durable = async (length: Plan): Promise<Window> => {
    const measured = await window(load, target, DURABLE, length);
    await target.server.answerWith(Math.round(measured.answerBytes));
    return measured;
  };
  const noop = (length: Plan): Promise<Window> => window(load, target, NOOP, length);
  const { first, second, ...ratio } = await inTurn(durable, noop, plan);
  return { ...ratio, durable: { ...first, bytesPerEvent: await grown() }, noop: second };
}

/** The durable routes of two builds in turn, after warm-up. @throws {Error} like {@link compare} */
export async function race(load: LoadProcess, here: Target, there: Target, plan: Plan): Promise<Race> {
  const grown = await Promise.all([growthOf(here), growthOf(there)]);
  const { first, second, ...ratio } = await inTurn(
    (length) => window(load, here, DURABLE, length),
    (length) => window(load, there, DURABLE, length),
    plan,
  );
  const [bytesHere, bytesThere] = await Promise.all([grown[0](), grown[1]()]);
  return {
    ...ratio,
    here: { ...first, bytesPerEvent: bytesHere },
    there: { ...second, bytesPerEvent: bytesThere },
  };
}

/** Two measurements in pairs; the order within a pair alternates, so that drift favours neither. */
async function inTurn(
  first: (length: Plan) => Promise<Window>,
  second: (length: Plan) => Promise<Window>,
  plan: Plan,
): Promise<Ratio & { first: Route; second: Route }> {
  const warmUp = { ...plan, milliseconds: plan.warmUpMilliseconds };
  await first(warmUp);
  await second(warmUp);
  const pairs: { first: Window; second: Window }[] = [];
  for (let pair = 0; pair < plan.pairs; pair += 1) {
    if (pair % 2 === 0) {
      const earlier = await first(plan);
      pairs.push({ first: earlier, second: await second(plan) });
    } else {
      const earlier = await second(plan);
      pairs.push({ second: earlier, first: await first(plan) });
    }
  }
  const ratios = pairs.map((pair) => pair.first.perSecond / pair.second.perSecond);
  return {
    ratio: median(ratios),
    ratios,
    clientCpu: Math.max(...pairs.flatMap((pair) => [pair.first.ownCpu, pair.second.ownCpu])),
    first: summary(pairs.map((pair) => pair.first)),
    second: summary(pairs.map((pair) => pair.second)),
  };
}

/** @returns asks by how many bytes the database has grown for each event since now */
async function growthOf(target: Target): Promise<() => Promise<number>> {
  const before = await target.size();
  return async () => {
    const after = await target.size();
    return (after.bytes - before.bytes) / (after.events - before.events);
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
    answerBytes: median(all.map(({ answerBytes }) => answerBytes)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
