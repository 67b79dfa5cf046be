import { afterAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { openReader } from '../../src/database/data-source.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { startServer } from '../support/process.js';
import { rounds } from '../support/length.js';
import { until } from '../support/wait.js';
import { type HttpClient, Issued, order, PASSWORD, patientOf, signIn } from './http-client.js';
import { entriesOf, verified } from './verified.js';

const ROUNDS = rounds(2, 20);
/** Generous: a round takes three seconds on an idle machine. */
const ROUND_TIMEOUT_MS = 60_000;
const CLIENTS = 16;
/** A round's kill comes after so many acknowledged writes at most. */
const MOST = 80;

const redis = await sharedRedis();

describe.skipIf(redis.missing)('kill -9 under load', () => {
  const folder = temporaryFolder();
  const config = testConfig(folder.path);
  afterAll(() => folder.remove());

  const serve = () =>
    startServer({
      DATA_DIR: folder.path,
      LOG_ORIGIN: config.env.LOG_ORIGIN as string,
      REDIS_URL: redis.url,
      DEMO_PASSWORD: PASSWORD,
      LOG_LEVEL: 'error',
    });

  /** Log index and entry of each acknowledged write, by its key. */
  const acknowledged = new Map<string, { index: number; entry: Buffer }>();
  /** Keys of writes whose answer never came. */
  const open = new Set<string>();
  let keys = 0;

  async function write(prescriber: HttpClient, patient: string, key: string): Promise<void> {
    const { status, body } = await prescriber.post('/api/prescriptions', order(patient, key), key);
    expect([key, status, body['code']]).toEqual([key, 201, undefined]);
    const { index, entry } = Issued.parse(body).receipt;
    acknowledged.set(key, { index, entry: Buffer.from(entry, 'base64') });
    open.delete(key);
  }

  /** Writes until the connection breaks. */
  async function load(prescriber: HttpClient, patient: string): Promise<void> {
    for (;;) {
      const key = `key-${keys++}`;
      open.add(key);
      try {
        await write(prescriber, patient, key);
      } catch (error) {
        // What fetch says of a broken connection; anything else is a finding.
        if (error instanceof TypeError || (error instanceof Error && error.name === 'SyntaxError')) return;
        throw error;
      }
    }
  }

  it(
    `loses no acknowledged write, verifies and starts again, ${ROUNDS} times`,
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const server = await serve();
        const prescriber = await signIn(server.address, 'prescriber');
        const patient = await patientOf(await signIn(server.address, 'patient'));
        // The answers that the last kill cut off: recorded or not, the same request is carried out once.
        for (const key of open) await write(prescriber, patient, key);
        const target = acknowledged.size + 1 + Math.floor(Math.random() * MOST);
        const clients = Promise.all(Array.from({ length: CLIENTS }, () => load(prescriber, patient)));
        await Promise.race([until(() => acknowledged.size >= target, { what: 'the load is written' }), clients]);
        await server.kill();
        await clients;
        const report = await verified(config, CHAIN_MODELS);
        expect(report.findings).toEqual([]);
        const entries = await entriesOf(config);
        const lost = [...acknowledged].filter(([, { index, entry }]) => !entries.get(index)?.equals(entry));
        expect(lost.map(([key]) => key)).toEqual([]);
      }
      expect(acknowledged.size).toBeGreaterThan(ROUNDS);
      expect(open.size).toBeGreaterThan(0);

      const last = await serve();
      try {
        const prescriber = await signIn(last.address, 'prescriber');
        const patient = await patientOf(await signIn(last.address, 'patient'));
        for (const key of open) await write(prescriber, patient, key);
      } finally {
        await last.kill();
      }
      expect(acknowledged.size).toBe(keys);
      expect(new Set([...acknowledged.values()].map(({ index }) => index)).size).toBe(keys);
      expect(await prescriptions()).toBe(keys);
    },
    (ROUNDS + 1) * ROUND_TIMEOUT_MS,
  );

  async function prescriptions(): Promise<number> {
    const source = await openReader(config);
    try {
      const [row] = await source.query<{ n: number }[]>('SELECT count(*) AS n FROM prescription_row');
      return row?.n ?? 0;
    } finally {
      await source.destroy();
    }
  }
});
