import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../support/terminal.js';
import { quietSqlite } from '../../src/sqlite/sqlite-file.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { ed25519Signer } from '../../src/ledger/core/tlog/note.js';
import { readHead } from '../../src/ledger/store/tip.js';
import { accepted, type Api, startApi } from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { fillLog } from '../support/log.js';
import { startNode } from '../support/process.js';
import { until } from '../support/wait.js';

/** The service's folder, copies of it, and the follower's: all of them an operator with root could reach but the last. */
let folder: ReturnType<typeof temporaryFolder>;
let api: Api | null = null;
let address = '';
let vkey = '';
let client: { id: string; key: string };
beforeEach(async () => {
  folder = temporaryFolder();
  await fillLog(at('data'), 300);
  await served(async (service) => {
    ({ vkey } = service);
    const key = at('follower.key');
    const { out } = await runCommand(['keys', 'new', 'machine', key, '--json']);
    const body = { role: 'auditor', name: 'follower', jwks: JSON.parse(out) };
    const { id } = accepted(await service.as('admin').post('/api/clients', body)).body;
    client = { id, key };
  });
});
afterEach(async () => {
  await api?.close();
  folder.remove();
});
const at = (name: string): string => join(folder.path, name);

/** One look of the auditor, and what it printed. */
async function look(more: readonly string[] = [], key = vkey) {
  const signIn = ['--client-id', client.id, '--key', client.key];
  const args = [
    'audit',
    'follow',
    address,
    '--dir',
    at('auditor'),
    '--vkey',
    key,
    '--once',
    '--json',
    ...signIn,
    ...more,
  ];
  const { code, out, err } = await runCommand(args);
  return { code, said: out === '' ? null : JSON.parse(out), err };
}

/** The service on the data folder, once it has published all that it holds. */
async function served<T>(use: (service: Api) => Promise<T>, port = '0'): Promise<T> {
  const service = await startApi({ DATA_DIR: at('data'), PUBLISH_SECONDS: '0.05', PORT: port });
  ({ address } = service);
  api = service;
  try {
    await until(async () => {
      const head = await readHead(service.db);
      const note = (await service.request.get('/log/checkpoint')).text;
      return head?.size === openCheckpoint(note, service.vkey).size;
    });
    return await use(service);
  } finally {
    api = null;
    await service.close();
  }
}

/** Copies the database's files, as they are while nobody runs on them. */
const copy = (from: string, to: string): void => {
  rmSync(at(to), { recursive: true, force: true });
  cpSync(at(from), at(to), { recursive: true });
};
/** The service's files as they were then; the head file would refuse the start, so root removes it. */
function putBack(copied: string): void {
  copy(copied, 'data');
  for (const name of readdirSync(at('data')).filter((one) => one.startsWith('head'))) rmSync(join(at('data'), name));
}
const evidenceFiles = () => (existsSync(at('auditor/evidence')) ? readdirSync(at('auditor/evidence')) : []);

describe('rxledger audit follow and a service', () => {
  it('follows honest growth over several looks, and says how far', async () => {
    let size = 0;
    for (const more of [0, 7, 400]) {
      if (more > 0) await fillLog(at('data'), more);
      const { code, said } = await served(() => look());
      expect({ code, said }).toMatchObject({ code: 0, said: { event: 'followed', origin: 'test.example/log' } });
      expect(said).toMatchObject({ size: said.checked, entries: said.size - size, evidence: 0, cosignatureAge: null });
      expect(said.entries).toBeGreaterThanOrEqual(more);
      ({ size } = said);
    }
    const { said } = await served(() => look());
    expect(said).toMatchObject({ size, entries: 0, lag: { entries: 0, seconds: 0 } });
    // A replica that begins late gets what is missing.
    expect((await served(() => look(['--replica']))).code).toBe(0);
    const bundles = Array.from({ length: Math.ceil(size / 256) }, (_, n) => `00${n}`);
    expect(readdirSync(at('auditor/log/tile/entries')).toSorted()).toEqual(
      size % 256 === 0 ? bundles : [...bundles.slice(0, -1), `${bundles.at(-1)}.p`],
    );
  });

  it('says rollback when the database was set back by ten entries', async () => {
    copy('data', 'before');
    await fillLog(at('data'), 10);
    const kept = await served(async () => {
      expect((await look()).code).toBe(0);
      return readFileSync(at('auditor/checkpoint'), 'utf8');
    });
    putBack('before');
    const { code, said } = await served(() => look());
    expect({ code, said }).toMatchObject({ code: 1, said: { event: 'alarm', alarm: 'rollback' } });
    const evidence = JSON.parse(readFileSync(said.evidence, 'utf8'));
    expect(evidence.kept).toBe(kept);
    expect(openCheckpoint(kept, vkey).size - openCheckpoint(evidence.found, vkey).size).toBe(10);
    expect(await runCommand(['audit', 'evidence', said.evidence, '--vkey', vkey])).toMatchObject({ code: 1 });
  });

  it('waits for a service that is away, and ends at the first look that finds it set back', async () => {
    copy('data', 'before');
    await fillLog(at('data'), 10);
    const signIn = ['--client-id', client.id, '--key', client.key];
    const { port, follower } = await served(async () => {
      const args = [
        'audit',
        'follow',
        address,
        '--dir',
        at('auditor'),
        '--vkey',
        vkey,
        '--interval',
        '0.1',
        '--json',
        ...signIn,
      ];
      const started = startNode('bin/rxledger.js', args);
      await started.line(/"event":"followed"/);
      return { port: new URL(address).port, follower: started };
    });
    await follower.line(/"event":"away"/);
    putBack('before');
    await served(() => follower.line(/"event":"alarm","alarm":"rollback"/), port);
    expect((await follower.ended).code).toBe(1);
    expect(evidenceFiles()).toHaveLength(1);
  });

  it.each([
    ['longer', 30],
    ['of the same length', 10],
  ])('proves a fork of the same key that is %s', async (_, entries) => {
    copy('data', 'before');
    await fillLog(at('data'), 10);
    await served(async () => expect((await look()).code).toBe(0));
    putBack('before');
    await fillLog(at('data'), entries);
    const { code, said } = await served(() => look());
    expect({ code, said }).toMatchObject({ code: 1, said: { event: 'alarm', alarm: 'fork' } });
    const judged = await runCommand(['audit', 'evidence', said.evidence, '--vkey', vkey, '--json']);
    expect({ code: judged.code, ...JSON.parse(judged.out) }).toMatchObject({ code: 0, proved: true });
    // Without what it remembers, an auditor sees nothing wrong: only the one who looked before does.
    rmSync(at('auditor'), { recursive: true });
    expect((await served(() => look())).code).toBe(0);
  });

  it('shows a tampered entry, bundle or tile', async () => {
    await served(async (service) => {
      const fetchAll = globalThis.fetch;
      const spoil = (part: string) => {
        globalThis.fetch = async (input, init) => {
          const answer = await fetchAll(input, init);
          if (!(input instanceof Request ? input.url : input.toString()).includes(part)) return answer;
          const bytes = new Uint8Array(await answer.arrayBuffer());
          bytes[50]! ^= 1;
          return new Response(bytes, { status: answer.status });
        };
      };
      try {
        for (const part of ['/log/tile/entries/000', '/log/tile/0/000', '/log/tile/0/001']) {
          spoil(part);
          const { code, said } = await look();
          expect({ code, said }).toMatchObject({ code: 1, said: { alarm: 'files' } });
          const evidence = JSON.parse(readFileSync(said.evidence, 'utf8'));
          expect(evidence.found).toBe((await service.request.get('/log/checkpoint')).text);
          const paths = evidence.files.map(({ path }: { path: string }) => `/log/${path}`);
          expect(paths).toContainEqual(expect.stringContaining(part));
        }
      } finally {
        globalThis.fetch = fetchAll;
      }
      expect(evidenceFiles()).toHaveLength(3);
      expect(await look()).toMatchObject({ code: 0, said: { evidence: 3 } });
    });
  });

  it('shows an entry that root has edited in the database', async () => {
    await served(async () => expect((await look()).code).toBe(0));
    await fillLog(at('data'), 10);
    const database = await new DataSource({
      type: 'sqlite',
      database: at('data/rxledger.sqlite'),
      driver: quietSqlite,
    } as never).initialize();
    const edit = `UPDATE entry SET entry = replace(CAST(entry AS TEXT), '"seq":0', '"seq":1')`;
    await database.query(`${edit} WHERE idx = (SELECT max(idx) FROM entry)`);
    await database.destroy();
    const { code, said } = await served(() => look());
    expect({ code, said }).toMatchObject({ code: 1, said: { alarm: 'files' } });
    expect(JSON.parse(readFileSync(said.evidence, 'utf8')).files[0].path).toContain('tile/entries/');
  });

  it('alarms at another key, and needs no more than it is told', async () => {
    await served(async () => {
      const wrong = 'test.example/log+00ee0000+AQ==';
      expect(await look([], wrong)).toMatchObject({ code: 2, err: expect.stringContaining('--vkey') });
      writeFileSync(
        at('policy'),
        `log ${ed25519Signer('test.example/log', new Uint8Array(32).fill(5)).vkey}\nquorum none\n`,
      );
      const args = ['audit', 'follow', address, '--dir', at('stranger'), '--policy', at('policy'), '--once', '--json'];
      const { code, out: said } = await runCommand(args);
      expect({ code, said: JSON.parse(said) }).toMatchObject({ code: 1, said: { alarm: 'signature' } });
      expect((await runCommand([...args, '--vkey', vkey])).code).toBe(2);
      // Entries are for auditors.
      const nobody = ['audit', 'follow', address, '--dir', at('nobody'), '--vkey', vkey, '--once'];
      expect(await runCommand(nobody)).toMatchObject({ code: 3, err: expect.stringContaining('auditors') });
      expect((await runCommand([...nobody.slice(0, 1), 'http://u:p@x', ...nobody.slice(2)])).code).toBe(2);
    });
    expect(await look()).toMatchObject({ code: 3, said: null });
  });

  it('says so when its own files were changed', async () => {
    await served(async () => {
      expect((await look()).code).toBe(0);
      appendFileSync(at('auditor/checkpoint'), 'x');
      expect(await look()).toMatchObject({ code: 3, err: expect.stringContaining('checkpoint') });
    });
  });
});
