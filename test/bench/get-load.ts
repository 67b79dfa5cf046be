/** Requests one after the other over a few connections, and how long each took. */
import { Agent, get } from 'node:http';
import { performance } from 'node:perf_hooks';

/** Latencies in ms. */
export interface Latencies {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * @param paths asked for in this order, over and over, by `connections` at a time
 * @throws {Error} when an answer is another than 200: a bench of refusals says nothing
 */
export async function hammer(
  port: number,
  paths: readonly string[],
  requests: number,
  connections: number,
): Promise<Latencies> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  let next = 0;
  const began = performance.now();
  const one = async (): Promise<void> => {
    while (next < requests) {
      const path = paths[next++ % paths.length] as string;
      const sent = performance.now();
      const status = await answered(agent, port, path);
      latencies.push(performance.now() - sent);
      if (status !== 200) throw new Error(`GET ${path}: ${status}`);
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  const seconds = (performance.now() - began) / 1000;
  agent.destroy();
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { perSecond: sorted.length / seconds, p50: at(0.5), p99: at(0.99), max: at(1) };
}

function answered(agent: Agent, port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get({ agent, port, path, host: '127.0.0.1' }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', reject);
    });
    request.once('error', reject);
  });
}
