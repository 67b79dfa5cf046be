/**
 * Witnesses of a log under test: real ones in this process, each on a fixed port, and servers that only pretend to be
 * witnesses.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pino } from 'pino';
import { freePort } from '../../src/cli/service/machine.js';
import { Clock } from '../../src/time/clock.js';
import { LogKey } from '../../src/ledger/crypto/log-key.js';
import { loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { WitnessFolder } from '../../src/audit/witness/folder.js';
import { trustedLogs } from '../../src/audit/witness/logs.js';
import { createWitnessServer } from '../../src/audit/witness/server.js';
import { openWitnessKey, Witness } from '../../src/audit/witness/witness.js';
import { temporaryFolder } from './ledger.js';

/** A witness as in a policy file. */
export interface PolicyLine {
  readonly name: string;
  readonly vkey: string;
  readonly url: string;
}

export interface RunningWitness extends PolicyLine {
  /** Stops it; its memory of cosigned checkpoints stays. */
  halt(): Promise<void>;
  /** Starts it again, at the same address. */
  start(): Promise<void>;
  /** Ends it for good. */
  remove(): Promise<void>;
}

/** Verifier key of the log that will be in this folder, with the origin of `testConfig`. */
export function logVkey(dataDir: string, origin = 'test.example/log'): string {
  return new LogKey(origin, loadOrCreateKey(join(dataDir, 'keys'), 'log.key')).vkey;
}

/** Starts a real witness. @param name in the policy; its key is `<name>.witness.example` */
export async function startWitness(name: string, vkey: string): Promise<RunningWitness> {
  const dir = temporaryFolder();
  const folder = new WitnessFolder(dir.path);
  const port = await freePort();
  let server: ReturnType<typeof createWitnessServer> | null = null;
  await folder.take();
  const key = await openWitnessKey(folder, `${name}.witness.example`);
  await folder.release();
  const running: RunningWitness = {
    name,
    vkey: key.vkey,
    url: `http://127.0.0.1:${port}`,
    async start() {
      await folder.take();
      const logger = pino({ level: 'silent' });
      server = createWitnessServer(
        await Witness.open(folder, key, trustedLogs([{ vkey }]), new Clock(), logger),
        logger,
      );
      await server.listen({ host: '127.0.0.1', port });
    },
    async halt() {
      await server?.close();
      server = null;
      await folder.release();
    },
    async remove() {
      await running.halt();
      dir.remove();
    },
  };
  await running.start();
  return running;
}

/** How a pretended witness answers a submission. */
export type Lie = (request: { body: string; response: ServerResponse }) => unknown;

export interface LyingWitness {
  readonly url: string;
  /** Bodies of all submissions. */
  readonly submissions: string[];
  lie: Lie;
  close(): Promise<void>;
}

export async function startLiar(lie: Lie): Promise<LyingWitness> {
  const submissions: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      submissions.push(body);
      liar.lie({ body, response });
    });
  });
  const port = await freePort();
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  const liar: LyingWitness = {
    url: `http://127.0.0.1:${port}`,
    submissions,
    lie,
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return liar;
}

/** Writes a policy of that log with a group of all these witnesses. @returns its path */
export function writePolicy(
  dataDir: string,
  vkey: string,
  witnesses: readonly PolicyLine[],
  threshold: number,
): string {
  const path = join(dataDir, `policy-${randomBytes(4).toString('hex')}`);
  const lines = [
    `log ${vkey}`,
    ...witnesses.map((witness) => `witness ${witness.name} ${witness.vkey} ${witness.url}`),
    `group all ${threshold} ${witnesses.map(({ name }) => name).join(' ')}`,
    'quorum all',
  ];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}
