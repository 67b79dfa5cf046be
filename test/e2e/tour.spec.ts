import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedRedis } from '../support/engines.js';
import { startServer, type TestServer } from '../support/process.js';

const redis = await sharedRedis();
const PASSWORD = 'correct-horse';

/** What a reader pastes, block by block. */
async function pasted(): Promise<string> {
  const readme = await readFile('README.md', 'utf8');
  const tour = /<!-- tour -->([^]*)<!-- \/tour -->/.exec(readme)?.[1] ?? '';
  return [...tour.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block).join('\n');
}

describe('the tour in README.md', () => {
  let folder = '';
  let server: TestServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rxledger-tour-'));
    server = await startServer({ DATA_DIR: join(folder, 'data'), REDIS_URL: redis.url, DEMO_PASSWORD: PASSWORD });
    // Where `npx rxledger` finds it, as in a clone, without the files of the tour in this one.
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
    await symlink(resolve('bin/rxledger.js'), join(folder, 'node_modules/.bin/rxledger'));
  });
  afterAll(async () => {
    await server?.terminate();
    await rm(folder, { recursive: true, force: true });
  });

  it('leads from a prescription to a dispense, a dose, a receipt that holds and three refusals, as it is pasted', async () => {
    const blocks = await pasted();
    expect(blocks).toContain(`"password\\":\\"${PASSWORD}\\"`);
    const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', blocks], {
      cwd: folder,
      env: { ...process.env, NODE_ENV: 'development', RX: server.address, DATA_DIR: join(folder, 'data') },
    });
    expect(stderr).toBe('');
    const lines = stdout.trimEnd().split('\n');
    const refused = lines.splice(-3);
    const [issues, dose, ...proof] = lines;
    expect(issues).toBe('0 dispensed, 1 ready, 2 future');
    expect(dose).toBe('taken');
    expect(proof.join('\n')).toMatch(/committed/);
    expect(refused).toEqual(['claim.token-wrong', 'prescription.already-claimed-by-you', 'dispense.over-authorised']);
    expect(await readFile('README.md', 'utf8')).toContain(
      `It prints \`${refused[0]}\`, \`${refused[1]}\` and \`${refused[2]}\`.`,
    );
  });
});
