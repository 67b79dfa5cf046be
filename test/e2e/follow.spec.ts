import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publicJwk } from '../../src/cli/keys/client-token.js';
import { createReplicaServer, tokensOf } from '../../src/audit/follow/replica/replica-server.js';
import { Replica } from '../../src/audit/follow/replica/replica.js';
import { fromUtf8 } from '../../src/ledger/core/bytes.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { LogClient } from '../../src/ledger/core/tlog/log-client.js';
import { loadOrCreateKey } from '../../src/ledger/crypto/key-files.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { accepted, type Api, issue, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { filesOf, fillLog } from '../support/log.js';
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
  args.push('--replica', '--port', '0', '--interval', '0.2', '--json');
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
  it('goes on after kill -9, follows what comes, and serves its copy under the same rules', async () => {
    for (const bundles of [1, 20, 40]) {
      const dying = start();
      await until(() => readdirSync(join(dir, 'log/tile/entries')).length >= bundles);
      await dying.kill();
    }
    const follower = start();
    const [, address = ''] = await follower.line(/"event":"listening","address":"([^"]+)"/);
    await followed(follower, await published());
    await issue(api);
    const head = await until(async () => {
      const [row] = await api.reader.db.query<{ size: number }>('SELECT size FROM log_head');
      return (await published()) === row?.size ? row.size : null;
    });
    await followed(follower, head);

    // Whoever knows the key checks the copy as the original, entry by entry.
    const files = filesOf(address, auditor);
    const note = fromUtf8((await files('checkpoint'))!);
    expect(note).toBe((await api.request.get('/log/checkpoint')).text);
    const client = await LogClient.open(nodeHasher, files, openCheckpoint(note, api.vkey));
    let entries = 0;
    for await (const bundle of client.bundles()) entries += bundle.entries.length;
    expect(entries).toBe(head);
    const original = filesOf(api.address, auditor);
    for (const path of [
      'tile/0/000',
      'tile/0/000.p/7',
      'tile/entries/000.p/7',
      'tile/1/000.p/3',
      'tile/0/999',
      'tile/2/000.p/1',
    ])
      expect(await files(path)).toEqual(await original(path));

    // Entries are for auditors of the service.
    const status = async (path: string, token?: string) => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const answer = await fetch(`${address}/${path}`, { headers });
      return `${answer.status} ${answer.headers.get('cache-control')}`;
    };
    const bundle = 'log/tile/entries/000';
    expect(await status(bundle, auditor)).toBe('200 private, max-age=31536000, immutable');
    expect(await status(bundle)).toBe('401 no-store');
    expect(await status(bundle, `${auditor.slice(0, -6)}AAAAAA`)).toBe('401 no-store');
    expect(await status(bundle, 'x'.repeat(9000))).toBe('401 no-store');
    expect(await status(bundle, await api.signIn('pharmacist'))).toBe('403 no-store');
    expect(await status('log/tile/0/000')).toBe('200 public, max-age=31536000, immutable');
    expect(await status('log/checkpoint')).toBe('200 public, max-age=1');
    expect(await status('log/tile/0/0')).toBe('400 no-store');
    expect(await status('log/tile/%65ntries/000')).toBe('400 no-store');
    expect(await status('log/tile/0/..%2f..%2f..%2fcheckpoint')).toBe('400 no-store');
    expect(await status('follow.sqlite')).toBe('404 no-store');

    // Whoever may read entries of the service follows the copy of somebody else, too.
    const token = join(folder.path, 'token');
    writeFileSync(token, `${auditor}\n`);
    const [clientId = '', key = ''] = [args[args.indexOf('--client-id') + 1], args[args.indexOf('--key') + 1]];
    const machine = ['--client-id', clientId, '--key', key];
    const look = async (name: string, ...more: string[]) => {
      const elsewhere = [
        'audit',
        'follow',
        address,
        '--from-replica',
        '--dir',
        join(folder.path, name),
        '--vkey',
        api.vkey,
        '--once',
        '--json',
      ];
      const looking = startNode('bin/rxledger.js', [...elsewhere, ...more]);
      const { code } = await looking.ended;
      return { code, said: looking.stdout(), err: looking.stderr() };
    };
    const checked = { code: 0, said: expect.stringMatching(`"checked":${head},.*"chain":"not asked"`) };
    expect(await look('machine', ...machine, '--sign-in', api.address)).toMatchObject(checked);
    expect(await look('other', '--token', token)).toMatchObject(checked);
    writeFileSync(token, 'no token');
    const none = { code: 3, err: expect.stringContaining('token holds no access token') };
    expect(await look('none', '--token', token)).toMatchObject(none);
    expect(await look('here', ...machine)).toMatchObject({ code: 3, err: expect.stringContaining('no access token') });
    expect(await look('both', ...machine, '--token', token)).toMatchObject({ code: 2 });

    expect(await follower.terminate()).toBe(0);
    expect(readFileSync(join(dir, 'checkpoint'), 'utf8')).toBe(note);
  });

  it('knows tokens while the service is away, if it has asked before', async () => {
    const away = tokensOf('http://127.0.0.1:1');
    expect(await away(`Bearer ${auditor}`)).toBe('away');
    expect(await away(undefined)).toBe('unknown');
    const server = createReplicaServer(await Replica.open(join(dir, 'log')), away, pino({ level: 'silent' }));
    const headers = { authorization: `Bearer ${auditor}` };
    const answer = await server.inject({ url: '/log/tile/entries/000', headers });
    expect({ status: answer.statusCode, retry: answer.headers['retry-after'] }).toEqual({ status: 503, retry: '5' });
    expect((await server.inject({ url: '/log/checkpoint' })).statusCode).toBe(200);
    await server.close();
  });
});
