import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import { redisProgram, sharedRedis } from '../support/engines.js';
import { startNode } from '../support/process.js';

const program = await redisProgram();
const redis = await sharedRedis();
const DEADLINE = 180_000;

/** Whether anything listens on that port of this machine. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** They wait for their demo most of the time. */
describe.concurrent('rxledger demo', () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

  /** In a folder of its own. */
  async function demo(args: string[], env: Record<string, string>) {
    const folder = await mkdtemp(join(tmpdir(), 'rxledger-demo-'));
    folders.push(folder);
    return { folder, child: startNode('bin/rxledger.js', ['demo', ...args], { env: { DATA_DIR: folder, ...env } }) };
  }

  it.skipIf(program.missing !== null)(
    '--once plays thirty days, tells every step, verifies, and leaves nothing running',
    async () => {
      const { folder, child } = await demo(['--once'], {});
      const { code } = await child.ended;
      const said = child.stdout();
      expect({ code, said }).toMatchObject({ code: 0 });

      const line = (pattern: string) => expect(said).toMatch(new RegExp(`  ${pattern}`, 'm'));
      line('Elm Street Practice  prescribed 30 tablets lisinopril 10 mg for Pat Example$');
      line('Harbor Clinic        prescribed .*, C-IV, 3 refills$');
      line('Elm Street Practice  prescribed .*, C-II, not before ');
      line('Mill Lane Pharmacy   claimed metformin 500 mg for Sam Specimen by nomination$');
      line('Corner Pharmacy      claimed lisinopril 10 mg for Pat Example by the token$');
      line('Corner Pharmacy      dispensed 10 of 30 tablets lisinopril 10 mg to Pat Example \\(part\\)$');
      line('Corner Pharmacy      dispensed the other 20 tablets');
      line('Corner Pharmacy      sent that again with the same Idempotency-Key: still 2 ');
      line('Mill Lane Pharmacy   refilled 14 tablets metformin 500 mg .*\\(refill 1 of 2\\)$');
      line('(Corner|Mill Lane) Pharmacy +won: ');
      line('(Corner|Mill Lane) Pharmacy +lost: refused, 409 prescription.claimed-elsewhere$');
      line('Harbor Clinic        cancelled it .* while Corner Pharmacy holds it: pending$');
      line('Corner Pharmacy      released it: the cancel is applied, the order cancelled$');
      line('Harbor Clinic        that was order HC-3007: cancelled on arrival$');
      line('timer                oxycodone 5 mg .* is ready');
      line('Mill Lane Pharmacy   closed .* as not dispensed \\(not-collected\\)$');
      line('Mill Lane Pharmacy   reversed that dispense');
      line('Pat Example          took the first lisinopril 10 mg$');
      line('Pat Example          skipped lisinopril 10 mg \\(forgot\\)$');
      line('Pat Example          corrected yesterday’s dose');
      line('Harbor Clinic        broke the glass');
      for (const refused of [
        '422 prescription.too-many-refills',
        '409 dispense.over-authorised',
        '403 access.forbidden',
      ])
        expect(said).toContain(`refused, ${refused}`);
      for (const found of [
        'D03 dispensed after cancel',
        'D07 over-dispense',
        'D12 dispense without',
        'D13 early refill',
      ])
        line(`reconciliation       ! ${found}`);
      line('reconciliation       ✓ D12 is gone');
      expect(said).not.toContain('✗');
      expect(said).toMatch(/^verified: \d{3} entries, \d{3} payloads, \d+ chains$/m);

      const [data = ''] = await readdir(folder);
      expect(said).toContain(`npx rxledger log verify `);
      expect(await readFile(join(folder, data, 'service.log'), 'utf8')).not.toMatch(/"level":(50|60)|Pat Example/);
      const again = startNode('bin/rxledger.js', ['log', 'verify', join(folder, data)]);
      expect((await again.ended).code).toBe(0);

      const port = /Started a Redis for this process on port (\d+)/.exec(child.stderr())?.[1];
      if (port !== undefined) expect(await listens(Number(port))).toBe(false);
    },
    DEADLINE,
  );

  it.skipIf(redis.missing !== null)(
    '--once --json prints one document, uses SQLite whatever DATABASE_URL says, and empties its queues',
    async () => {
      const { child } = await demo(['--once', '--json'], {
        REDIS_URL: redis.url,
        DATABASE_URL: 'postgres://127.0.0.1:1/nowhere',
        NODE_ENV: 'production',
      });
      const { code } = await child.ended;
      expect({ code, err: child.stderr() }).toEqual({
        code: 0,
        err: expect.stringContaining('DATABASE_URL is not used'),
      });
      const summary = JSON.parse(child.stdout()) as { log: string };
      expect(summary).toMatchObject({
        ok: true,
        verified: true,
        prescriptions: 11,
        dispenses: 14,
        doses: 54,
        discrepancies: { D03: 1, D07: 1, D12: 2, D13: 1 },
        resolved: 3,
        badReceipts: 0,
        notAsExpected: [],
      });
      const client = new Redis(redis.url);
      const queues = createHash('sha256').update(summary.log).digest('hex').slice(0, 12);
      expect(await client.keys(`*${queues}*`)).toEqual([]);
      await client.quit();
    },
    DEADLINE,
  );

  it.skipIf(redis.missing !== null)(
    'keeps serving what it played, on the clock of the machine, until a signal ends it',
    async () => {
      const { child } = await demo([], { REDIS_URL: redis.url, PORT: '0', DEMO_PASSWORD: 'correct horse battery' });
      const [, address] = await child.line(/^RxLedger serves this ledger on (http:\S+)/, DEADLINE);
      await child.line(/curl -s .*\/api\/discrepancies/);
      expect(child.stdout()).toMatch(/^ {2}pharmacist {3}correct horse battery {2}pharmacist, Corner Pharmacy$/m);
      const signIn = await fetch(`${address}/api/auth/sign-in`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username: 'pharmacist', password: 'correct horse battery' }),
      });
      const { accessToken } = (await signIn.json()) as { accessToken: string };
      const claims = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()) as {
        iat: number;
      };
      expect(Math.abs(claims.iat * 1000 - Date.now())).toBeLessThan(60_000);
      const headers = { authorization: `Bearer ${accessToken}` };
      const { items } = (await (await fetch(`${address}/api/discrepancies`, { headers })).json()) as {
        items: object[];
      };
      expect(items.length).toBeGreaterThanOrEqual(3);
      expect(await child.terminate()).toBe(0);
    },
    DEADLINE,
  );
});
