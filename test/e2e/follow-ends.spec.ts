/** How `rxledger audit follow` ends, and what it leaves behind, with a log that can be turned into another. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenLocally } from '../../src/cli/service/machine.js';
import { run } from '../../src/cli/program.js';
import { testTerminal } from '../support/terminal.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { temporaryFolder } from '../support/ledger.js';
import { goodEntries, MADE_VKEY, MadeLog } from '../support/made-log.js';
import { startNode, type TestProcess } from '../support/process.js';
import { until } from '../support/wait.js';

const good = new MadeLog([...goodEntries(700, 40)]);
let folder: ReturnType<typeof temporaryFolder>;
let server: Server;
let address = '';
let files: FetchFile;
/** What it turns into at the next look, which begins with the checkpoint: no look sees some of the one and some of the other. */
let turned: FetchFile | null;
/** What is asked for and never answered. */
let unanswered: (url: string) => boolean;
let waiting: ServerResponse[];
let started: TestProcess[];

beforeEach(async () => {
  folder = temporaryFolder();
  [files, turned, unanswered, waiting, started] = [good.files(650), null, () => false, [], []];
  server = createServer((request, response) => {
    const url = request.url ?? '';
    if (turned && url.endsWith('/checkpoint')) [files, turned] = [turned, null];
    if (unanswered(url)) return waiting.push(response);
    return void files(url.replace('/log/', '')).then((file) =>
      file ? response.end(file) : response.writeHead(404).end(),
    );
  });
  address = `http://127.0.0.1:${await listenLocally(server)}`;
});
afterEach(async () => {
  await Promise.all(started.map((one) => one.kill()));
  server.closeAllConnections();
  server.close();
  folder.remove();
});

function follow(...more: string[]): TestProcess {
  const dir = ['--dir', join(folder.path, 'auditor'), '--vkey', MADE_VKEY];
  const follower = startNode('bin/rxledger.js', ['audit', 'follow', address, ...dir, '--json', ...more]);
  started.push(follower);
  return follower;
}

/** A file of its replica. */
const copy = (path: string) => readFileSync(join(folder.path, 'auditor/log', path));

describe('rxledger audit follow', () => {
  it('leaves its replica as it was before an alarm, also at a start at which the alarm stands', async () => {
    const first = follow('--replica', '--interval', '0.1');
    await first.line(/"event":"followed".*"checked":650,/);
    turned = good.files(640);
    const again = (...more: string[]) => follow('--replica', ...more);
    for (const start of [() => first, () => again('--interval', '0.1'), () => again('--once')]) {
      const follower = start();
      await follower.line(/"event":"alarm","alarm":"rollback"/);
      expect((await follower.ended).code).toBe(1);
      expect(copy('checkpoint').toString()).toBe(good.note(650));
      expect(copy('tile/0/002.p/138')).toEqual(Buffer.from((await good.files(650)('tile/0/002.p/138'))!));
    }
  });

  it('says which file of its folder is damaged', async () => {
    expect((await follow('--replica', '--once').ended).code).toBe(0);
    writeFileSync(join(folder.path, 'auditor/log/checkpoint'), '');
    const follower = follow('--replica', '--once');
    expect((await follower.ended).code).toBe(3);
    expect(follower.stderr()).toContain('checkpoint or rotations of the replica are damaged');
  });

  it('ends while it looks through its replica', async () => {
    for (const once of [['--once'], []]) {
      expect((await follow('--replica', '--once').ended).code).toBe(0);
      const { terminal, said } = testTerminal({
        // The first bundle is looked at: what `follow` does at a signal, without one to the tests.
        status: () => process.listeners('SIGTERM').at(-1)?.('SIGTERM'),
        watched: true,
        env: { LOG_LEVEL: 'silent' },
      });
      const dir = ['--dir', join(folder.path, 'auditor'), '--vkey', MADE_VKEY];
      const code = await run(['audit', 'follow', address, ...dir, '--replica', ...once], terminal);
      expect({ code, err: said.err.join('') }).toEqual(
        once.includes('--once')
          ? { code: 3, err: expect.stringContaining('stopped before the look was finished') }
          : { code: 0, err: '' },
      );
    }
  });

  it('says nothing good of a single look that was stopped', async () => {
    for (const path of ['/log/checkpoint', '/log/tile/entries/001']) {
      waiting = [];
      unanswered = (url) => url === path;
      const follower = follow('--once');
      await until(() => waiting.length > 0);
      expect(await follower.terminate()).toBe(3);
      expect(follower.stderr()).toMatch(/stopped before the look was finished/);
      expect(follower.stdout()).toBe('');
    }
    unanswered = () => false;
    expect((await follow('--once').ended).code).toBe(0);
  });

  it('ends at once while it signs in', async () => {
    const key = join(folder.path, 'f.key');
    expect((await startNode('bin/rxledger.js', ['keys', 'new', 'machine', key]).ended).code).toBe(0);
    unanswered = (url) => url === '/api/auth/token';
    const follower = follow('--client-id', 'x', '--key', key);
    await until(() => waiting.length > 0);
    const before = Date.now();
    expect(await follower.terminate()).toBe(0);
    expect(Date.now() - before).toBeLessThan(20_000);
  });
});
