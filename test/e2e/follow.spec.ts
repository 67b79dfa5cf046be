import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenLocally } from '../../src/cli/service/machine.js';
import { publicJwk } from '../../src/cli/keys/client-token.js';
import { fromUtf8 } from '../../src/ledger/core/bytes.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { LogClient } from '../../src/ledger/core/tlog/log-client.js';
import { loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { accepted, type Api, issue, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { fileServer, filesOf, fillLog } from '../support/log.js';
import { startNode, type TestProcess } from '../support/process.js';
import { until } from '../support/wait.js';

const folder = temporaryFolder();
const dir = join(folder.path, 'auditor');
let api: Api;
let auditor: string;
let args: string[];

beforeAll(async () => {
  await fillLog(join(folder.path, 'data'), 12_000);
  api = await startApi({ DATA_DIR: join(folder.path, 'data'), PUBLISH_SECONDS: '0.05' });
  auditor = await api.signIn('auditor');
  const key = join(folder.path, 'follower.key');
  const jwk = await publicJwk(loadOrCreateKey(folder.path, 'follower.key'));
  const body = { role: 'auditor', name: 'replica', jwks: { keys: [jwk] } };
  const { id } = accepted(await api.as('admin').post('/api/clients', body)).body;
  args = ['audit', 'follow', api.address, '--dir', dir, '--vkey', api.vkey, '--client-id', id, '--key', key];
  args.push('--replica', '--interval', '0.2', '--json');
});
afterAll(async () => {
  await api.close();
  folder.remove();
});

const start = (): TestProcess => startNode('bin/rxledger.js', args);
const published = async (): Promise<number> =>
  openCheckpoint((await api.request.get('/log/checkpoint')).text, api.vkey).size;
const followed = (follower: TestProcess, size: number) =>
  follower.line(new RegExp(`"event":"followed",.*"size":${size},.*"checked":${size},`));

describe('rxledger audit follow --replica as a process', () => {
  it('goes on after kill -9, follows what comes, and keeps a copy that any web server can serve', async () => {
    for (const bundles of [1, 20, 40]) {
      const dying = start();
      await until(() => readdirSync(join(dir, 'log/tile/entries')).length >= bundles);
      await dying.kill();
    }
    const follower = start();
    await followed(follower, await published());
    await issue(api);
    const head = await until(async () => {
      const [row] = await api.db.query<{ size: number }>('SELECT size FROM log_head');
      return (await published()) === row?.size ? row.size : null;
    });
    await followed(follower, head);
    expect(await follower.terminate()).toBe(0);

    // Whoever knows the key checks the copy as the original, entry by entry.
    const copy = fileServer(dir);
    const files = filesOf(`http://127.0.0.1:${await listenLocally(copy)}`);
    const note = fromUtf8((await files('checkpoint'))!);
    expect(note).toBe((await api.request.get('/log/checkpoint')).text);
    expect(readFileSync(join(dir, 'checkpoint'), 'utf8')).toBe(note);
    const client = await LogClient.open(nodeHasher, files, openCheckpoint(note, api.vkey));
    let entries = 0;
    for await (const bundle of client.bundles()) entries += bundle.entries.length;
    expect(entries).toBe(head);
    const original = filesOf(api.address, auditor);
    for (const path of ['tile/0/000', 'tile/entries/000', 'tile/0/999', 'tile/2/000.p/1'])
      expect(await files(path)).toEqual(await original(path));
    copy.close();
  });
});
