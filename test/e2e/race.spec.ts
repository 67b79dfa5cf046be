import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openReader } from '../../src/database/data-source.js';
import { type HttpClient, inFlights, Issued, order, PASSWORD, patientOf, signIn } from '../faults/http-client.js';
import { verified } from '../faults/verified.js';
import { sharedPostgres, sharedRedis } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { startServer, type TestServer } from '../support/process.js';
import { rounds } from '../support/length.js';

const RACES = rounds(200, 1000);
const FLIGHTS = 16;

const redis = await sharedRedis();
const postgres = await sharedPostgres();

/** @returns status and refusal code in one line */
async function claimBy(pharmacy: HttpClient, path: string, token: string): Promise<string> {
  const { status, body } = await pharmacy.post(path, { token }, randomUUID());
  return typeof body['code'] === 'string' ? `${status} ${body['code']}` : `${status} claimed`;
}

describe.skipIf(redis.missing)('two pharmacies race for one prescription', () => {
  const folder = temporaryFolder();
  let servers: TestServer[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.kill();
    folder.remove();
  });

  async function race(env: Record<string, string>, processes: 1 | 2): Promise<void> {
    folder.remove();
    const config = testConfig(folder.path, env);
    const settings = {
      ...env,
      DATA_DIR: folder.path,
      LOG_ORIGIN: config.env.LOG_ORIGIN as string,
      REDIS_URL: redis.url,
      DEMO_PASSWORD: PASSWORD,
      LOG_LEVEL: 'error',
    };
    for (let started = 0; started < processes; started++) servers = [...servers, await startServer(settings)];
    const [one, other] = [servers[0], servers.at(-1)] as [TestServer, TestServer];
    const prescriber = await signIn(one.address, 'prescriber');
    const patient = await patientOf(await signIn(one.address, 'patient'));
    const pharmacies = [await signIn(one.address, 'pharmacist'), await signIn(other.address, 'pharmacist2')] as const;

    const issued = await inFlights(
      Array.from({ length: RACES }, (_, n) => async () => {
        const answer = await prescriber.post('/api/prescriptions', order(patient, `race-${n}`));
        return Issued.parse(answer.body);
      }),
      FLIGHTS,
    );
    const said = await inFlights(
      issued.map(({ prescription: { id }, token }, n) => async () => {
        const path = `/api/prescriptions/${id}/claim`;
        // Now the one, now the other sets out first.
        const first = n % 2;
        const answers = await Promise.all([
          claimBy(pharmacies[first as 0 | 1], path, token),
          claimBy(pharmacies[(1 - first) as 0 | 1], path, token),
        ]);
        return (first === 0 ? answers : answers.toReversed()).join(' | ');
      }),
      FLIGHTS,
    );
    const won = [
      '200 claimed | 409 prescription.claimed-elsewhere',
      '409 prescription.claimed-elsewhere | 200 claimed',
    ];
    expect(said.filter((line) => !won.includes(line))).toEqual([]);
    expect(said).toHaveLength(RACES);
    // Neither always wins.
    expect(new Set(said).size).toBe(2);

    const source = await openReader(config);
    try {
      const holders = await source.query<{ n: number }[]>(
        'SELECT CAST(count(*) AS integer) AS n FROM custody c JOIN prescription_row p ON p.chain = c.chain GROUP BY c.chain',
      );
      expect(holders.map(({ n }) => n)).toEqual(Array.from({ length: RACES }, () => 1));
    } finally {
      await source.destroy();
    }
    expect((await verified(config, CHAIN_MODELS)).findings).toEqual([]);
  }

  it(`on SQLite: one winner each, ${RACES} times`, async () => {
    await race({}, 1);
    expect(servers).toHaveLength(1);
  });

  it.skipIf(postgres.missing)(`on PostgreSQL with two processes: one winner each, ${RACES} times`, async () => {
    await race({ DATABASE_URL: await postgres.createDatabase() }, 2);
    expect(servers).toHaveLength(2);
  });
});
