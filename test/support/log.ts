/** Access to the public log from outside, and ledgers filled before the service starts. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { Clock } from '../../src/time/clock.js';
import { count, COUNTING, testConfig } from './ledger.js';

/**
 * Writes entries through the real writer, so that a service can be started on the folder. Their chains are counters,
 * unknown to the service's modules.
 */
export async function fillLog(folder: string, entries: number, env: Record<string, string> = {}): Promise<void> {
  const ledger = await openLedger(testConfig(folder, { WRITER_BATCH: '2000', ...env }), new Clock(), COUNTING);
  const chains = Array.from({ length: Math.min(entries, 1000) }, () => randomUUID());
  for (let done = 0; done < entries;) {
    const some = Math.min(4000, entries - done);
    await Promise.all(
      Array.from({ length: some }, (_, at) => ledger.writer.commit(count(chains[(done + at) % chains.length]!, 1))),
    );
    done += some;
  }
  await ledger.close();
}

/**
 * The files of a served log.
 * @param token an auditor's, for entry bundles
 * @throws {Error} for any status except 200 and 404
 */
export function filesOf(address: string, token?: string): FetchFile {
  return async (path) => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`${address}/log/${path}`, { headers });
    const body = new Uint8Array(await answer.arrayBuffer());
    if (answer.status === 404) return null;
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
    return body;
  };
}

/**
 * A static web server, not listening yet.
 * @param folder its files are served at `/`
 * @param token Bearer token for files below `entries/`; without it they get 401
 */
export function fileServer(folder: string, token?: string): Server {
  return createServer((request, response) => {
    const path = new URL(request.url ?? '', 'http://files.invalid').pathname;
    if (token !== undefined && path.includes('/entries/') && request.headers.authorization !== `Bearer ${token}`)
      response.writeHead(401).end();
    else
      void readFile(join(folder, path)).then(
        (file) => response.end(file),
        () => response.writeHead(404).end(),
      );
  });
}
