import { connect, createServer, type Socket } from 'node:net';
import { listenLocally } from '../../src/cli/service/machine.js';

/** A TCP proxy that breaks the connection to a database in the ways that networks do. */
export interface TcpProxy {
  readonly port: number;
  /** The same URL, through the proxy. */
  through(url: string): string;
  /** Resets all connections; new ones are accepted. */
  cut(): void;
  /**
   * Arms one cut of one connection, on the first bytes from a client that satisfy the predicate. `before`: the server
   * never sees those bytes. `after`: the server has answered them, but the answer does not reach the client, which does
   * not know the outcome.
   * @param matches gets all bytes that the client sent on that connection since the server's last answer
   * @returns resolves when the cut has happened
   */
  cutWhen(matches: (bytes: Buffer) => boolean, moment: 'before' | 'after'): Promise<void>;
  /** Holds back all bytes in both directions; connections stay open. */
  stall(): void;
  resume(): void;
  /** Resets all connections and every new one, until {@link accept}. */
  refuse(): void;
  accept(): void;
  close(): Promise<void>;
}

interface Trap {
  readonly matches: (bytes: Buffer) => boolean;
  readonly moment: 'before' | 'after';
  readonly sprung: () => void;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
}

/** @param target URL or address of the server behind it */
export async function startProxy(target: string | { host: string; port: number }): Promise<TcpProxy> {
  const { host, port } = typeof target === 'string' ? addressOf(target) : target;
  const links = new Set<Link>();
  let traps: Trap[] = [];
  let stalled = false;
  let refusing = false;

  const drop = (link: Link) => {
    links.delete(link);
    link.client.resetAndDestroy();
    link.server.destroy();
  };

  const listener = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(port, host).setNoDelay(true);
    const link: Link = { client: client.setNoDelay(true), server };
    links.add(link);
    let sent: Buffer[] = [];
    let swallow: Trap | null = null;

    client.on('data', (bytes) => {
      sent.push(bytes);
      const trap = swallow ? undefined : springs(Buffer.concat(sent));
      if (trap?.moment === 'before') {
        drop(link);
        trap.sprung();
        return;
      }
      swallow = trap ?? swallow;
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      sent = [];
      if (swallow) {
        drop(link);
        swallow.sprung();
        return;
      }
      client.write(bytes);
    });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => drop(link));
      from.on('end', () => to.end());
      from.on('close', () => links.delete(link));
    }
    if (stalled) hold(link);
  });

  const springs = (bytes: Buffer): Trap | undefined => {
    const trap = traps.find(({ matches }) => matches(bytes));
    traps = traps.filter((other) => other !== trap);
    return trap;
  };
  const hold = (link: Link) => {
    link.client.pause();
    link.server.pause();
  };

  const own = await listenLocally(listener);
  return {
    port: own,
    through(url) {
      const proxied = new URL(url);
      proxied.hostname = '127.0.0.1';
      proxied.port = String(own);
      return proxied.href;
    },
    cut: () => links.forEach(drop),
    cutWhen: (matches, moment) => new Promise((sprung) => traps.push({ matches, moment, sprung })),
    stall() {
      stalled = true;
      links.forEach(hold);
    },
    resume() {
      stalled = false;
      for (const link of links) {
        link.client.resume();
        link.server.resume();
      }
    },
    refuse() {
      refusing = true;
      links.forEach(drop);
    },
    accept() {
      refusing = false;
    },
    async close() {
      links.forEach(drop);
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function addressOf(url: string): { host: string; port: number } {
  const { protocol, hostname, port } = new URL(url);
  const usual = protocol.startsWith('redis') ? 6379 : 5432;
  return { host: hostname, port: port === '' ? usual : Number(port) };
}
