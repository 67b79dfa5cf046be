/**
 * The load generator, in a process of its own so that it takes no event-loop time from the server.
 * Raw sockets: one write per request, the answer is read only as far as its status and length.
 */
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { z } from 'zod';

/** One window of load, sent by the parent process. */
export const Load = z.object({
  port: z.int(),
  path: z.string(),
  /** Bearer token; empty sends none. */
  token: z.string(),
  connections: z.int(),
  milliseconds: z.number(),
  /** JSON texts, taken in turn, equally long, in which each {@link MARK} becomes an identifier that no other request has. */
  bodies: z.array(z.string()).min(1),
  /** Begins every identifier of this window. */
  prefix: z.string(),
});
export type Load = z.infer<typeof Load>;

/** What one window showed. Latencies in milliseconds. */
export const Measured = z.object({
  /** Answers within the window. */
  answered: z.int(),
  perSecond: z.number(),
  p50: z.number(),
  p99: z.number(),
  /** Bytes of the body of an answer, on average. */
  answerBytes: z.number(),
  /** Answers of another status than 2xx, by status; `closed` counts lost connections. */
  failed: z.record(z.string(), z.int()),
  /** Share of one core that this process used. */
  ownCpu: z.number(),
});
export type Measured = z.infer<typeof Measured>;

export const MARK = '{{id}}';
/** Fixed, so that Content-Length is the same for all requests of a window. */
const COUNTER_DIGITS = 8;
const HEAD_END = Buffer.from('\r\n\r\n');

async function run(load: Load): Promise<Measured> {
  const templates = load.bodies.map((body) => body.split(MARK));
  const sample = 'x'.repeat(load.prefix.length + COUNTER_DIGITS);
  const [length, ...others] = new Set(templates.map((parts) => Buffer.byteLength(parts.join(sample))));
  if (length === undefined || others.length > 0) throw new Error('the bodies are not equally long');
  const authorization = load.token === '' ? '' : `Authorization: Bearer ${load.token}\r\n`;
  const head =
    `POST ${load.path} HTTP/1.1\r\nHost: 127.0.0.1:${load.port}\r\n${authorization}` +
    `Content-Type: application/json\r\nContent-Length: ${length}\r\nIdempotency-Key: `;
  let counter = 0;
  const nextRequest = () => {
    counter += 1;
    const id = load.prefix + String(counter).padStart(COUNTER_DIGITS, '0');
    return `${head}${id}\r\n\r\n${templates[counter % templates.length]?.join(id)}`;
  };

  const sockets = await Promise.all(Array.from({ length: load.connections }, () => open(load.port)));
  const latencies: number[] = [];
  const failed: Record<string, number> = {};
  let answerBytes = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  const end = start + load.milliseconds;
  await Promise.all(sockets.map((socket) => drive(socket)));
  const used = process.cpuUsage(cpu);

  const sorted = Float64Array.from(latencies).toSorted();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return {
    answered: sorted.length,
    perSecond: (sorted.length / load.milliseconds) * 1000,
    p50: at(0.5),
    p99: at(0.99),
    answerBytes: answerBytes / sorted.length,
    failed,
    ownCpu: (used.user + used.system) / 1000 / load.milliseconds,
  };

  /** One request after the other on one connection until the window closes. */
  function drive(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      let sentAt = 0;
      let pending: Buffer | null = null;
      let remaining = -1;
      let bodyBytes = 0;
      let status = '';
      const send = () => {
        sentAt = performance.now();
        socket.write(nextRequest(), 'latin1');
      };
      const answered = () => {
        const now = performance.now();
        if (status.startsWith('2')) {
          if (now <= end) {
            latencies.push(now - sentAt);
            answerBytes += bodyBytes;
          }
        } else {
          failed[status] = (failed[status] ?? 0) + 1;
        }
        remaining = -1;
        if (now < end) send();
        else socket.destroy();
      };
      socket.on('data', (chunk) => {
        if (remaining >= 0) {
          remaining -= chunk.length;
          if (remaining <= 0) answered();
          return;
        }
        const bytes = pending ? Buffer.concat([pending, chunk]) : chunk;
        const headEnd = bytes.indexOf(HEAD_END);
        pending = headEnd < 0 ? bytes : null;
        if (headEnd < 0) return;
        const headers = bytes.toString('latin1', 0, headEnd);
        status = headers.slice(9, 12);
        bodyBytes = Number(/content-length: *(\d+)/i.exec(headers)?.[1] ?? 0);
        remaining = bodyBytes - (bytes.length - headEnd - 4);
        if (remaining <= 0) answered();
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        if (performance.now() < end) failed['closed'] = (failed['closed'] ?? 0) + 1;
        resolve();
      });
      send();
    });
  }
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.setNoDelay(true)));
    socket.once('error', reject);
  });
}

process.on('message', (message) => {
  run(Load.parse(message)).then(
    (measured) => process.send?.(measured),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
