import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenLocally } from '../../../cli/service/machine.js';
import { endlessly } from '../../../../test/support/endless.js';
import { temporaryFolder } from '../../../../test/support/ledger.js';
import { goodEntries, MADE_VKEY, MadeLog } from '../../../../test/support/made-log.js';
import { SettableClock } from '../../../time/clock.js';
import type { FetchFile } from '../../../ledger/core/tlog/log-client.js';
import { parseVerifierKey } from '../../../ledger/core/tlog/note.js';
import { logOnly } from '../../../ledger/core/tlog/policy.js';
import { Follower, type Poll } from '../follower.js';
import { createReplicaServer, tokensOf } from './replica-server.js';
import { Replica } from './replica.js';
import { SourceError } from '../source.js';

let server: Server;
let address = '';
let sent = 0;
beforeAll(async () => {
  server = createServer((_, response) => endlessly(response, (bytes) => (sent += bytes)));
  address = `http://127.0.0.1:${await listenLocally(server)}`;
});
afterAll(() => server.close());

describe('the keys by which a replica knows tokens', () => {
  it('are no more than a key set can be, whatever the service sends', async () => {
    const token = await new SignJWT()
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'a' })
      .sign(generateKeyPairSync('ed25519').privateKey);
    expect(await tokensOf(address)(`Bearer ${token}`)).toBe('away');
    // What the sockets hold between the two.
    expect(sent).toBeLessThan(32_000_000);
  });
});

describe('a file of a replica', () => {
  it('is not served when it is not the one that is signed', async () => {
    const folder = temporaryFolder();
    try {
      const log = new MadeLog([...goodEntries(300, 10)]);
      const paths = ['checkpoint', 'tile/entries/000', 'tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1'];
      for (const path of paths) {
        mkdirSync(dirname(join(folder.path, path)), { recursive: true });
        writeFileSync(join(folder.path, path), (await log.files()(path))!);
      }
      const replica = await Replica.open(folder.path);
      const copy = createReplicaServer(replica, () => Promise.resolve('yes'), pino({ level: 'silent' }));
      const status = async (path: string) => (await copy.inject({ url: `/log/${path}` })).statusCode;
      for (const path of paths) expect(await status(path)).toBe(200);
      expect(await status('tile/0/002')).toBe(404);
      for (const wrong of [Buffer.alloc(8192), Buffer.alloc(0)]) {
        writeFileSync(join(folder.path, 'tile/entries/000'), wrong);
        expect(await status('tile/entries/000')).toBe(503);
      }
      await copy.close();
    } finally {
      folder.remove();
    }
  });

  it.each<[what: string, spoil: (path: string) => void]>([
    ['no list', (path) => writeFileSync(path, '{garbage')],
    ['a folder', (path) => mkdirSync(path)],
  ])('does not say that the log went on where it never did: what says so is %s', async (_, spoil) => {
    const folder = temporaryFolder();
    try {
      const log = new MadeLog([...goodEntries(300, 10)]);
      const copy = join(folder.path, 'log');
      const continued = join(copy, 'continued');
      await follow(folder.path, log.files(), await Replica.open(copy));
      spoil(continued);
      const replica = await Replica.open(copy);
      const copied = createReplicaServer(replica, () => Promise.resolve('yes'), pino({ level: 'silent' }));
      const served: FetchFile = async (path) => {
        const { statusCode, rawPayload } = await copied.inject({ url: `/log/${path}` });
        if (statusCode === 503) throw new SourceError(path);
        return statusCode === 200 ? rawPayload : null;
      };
      const other = join(folder.path, 'other');
      await expect(follow(other, served)).rejects.toThrow('continued');
      expect(await follow(folder.path, log.files(), replica)).toMatchObject({ ok: true });
      expect(existsSync(continued)).toBe(false);
      expect(await follow(other, served)).toMatchObject({ ok: true, standing: { checked: 300 } });
      await copied.close();
    } finally {
      folder.remove();
    }
  });
});

/** One look. */
async function follow(dir: string, fetch: FetchFile, replica?: Replica): Promise<Poll> {
  const policy = logOnly(parseVerifierKey(MADE_VKEY));
  const clock = new SettableClock(Date.UTC(2026, 0, 2));
  const follower = await Follower.open(dir, { policy, fetch, url: '', clock, ...(replica && { replica }) });
  try {
    return await follower.poll();
  } finally {
    await follower.close();
  }
}
