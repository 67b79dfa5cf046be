import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { runRotateEncryption } from '../../src/cli/keys/rotate-encryption.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { DEMO_ORGANISATIONS } from '../../src/seed/demo-accounts.js';
import { LEDGER_TABLES } from '../../src/ledger/store/tables.js';
import { type Answered, type HttpClient, PASSWORD, signIn, signInAs } from '../faults/http-client.js';
import { found, remainsOf } from '../faults/remains.js';
import { leaks, spellingsOf } from '../faults/spellings.js';
import { verified } from '../faults/verified.js';
import { DEMO_IDENTIFIERS } from '../../src/http/openapi/demo-ids.js';
import { redisProgram } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { startServer, type TestServer } from '../support/process.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { until } from '../support/wait.js';
import { testTerminal } from '../support/terminal.js';

/** Development mode's own patient: the identifier stands in the README, and the start prints it for the tour. */
const DEMO_PATIENT = DEMO_IDENTIFIERS.patient.value;
const PERSON = {
  name: 'Zebulon "Zeb" Quixworthy-Ångström',
  address: '77 Wyvernhollow Crescent, Brackenmoor',
  birthDate: '1931-07-29',
  system: 'urn:oid:2.16.840.1.113883.19.7741903',
  identifier: 'MRN-QXZ-5520178',
};
const TEXTS = {
  directions: 'half a pastille before the evening milking',
  note: 'tell him about the quokka and the ladder',
  dispenseNote: 'handed to the neighbour with the parrot',
  cancelNote: 'he moved to the lighthouse',
  reportNote: 'the generator of the village failed',
  reason: 'found unconscious beside the tandem',
  pharmacist: 'Philippa Umbrellastand-Voss',
};
/** Known to no formulary, so that it stands nowhere but where somebody wrote it. */
const DRUG = { code: 'ZX-9917304', display: 'zyxomiracil 3 MG Chewable Pastille' };
const tablets = (value: string) => ({ value, unit: '{tablet}' });

const program = await redisProgram();

describe.skipIf(program.missing)('what somebody sees who takes the disks', () => {
  const folder = temporaryFolder();
  const config = testConfig(folder.path);
  const username = 'quixworthy.zebulon';
  const password = 'seven Yellow herons 1931';
  const secrets: string[] = [
    ...Object.values(PERSON),
    ...Object.values(TEXTS),
    ...[PERSON.name, TEXTS.pharmacist].flatMap((name) => name.split(/[ "]+/).filter((part) => part.length > 6)),
    username,
    password,
    'umbrellastand',
    PASSWORD,
    'Pat Example',
    '1 Sample Road',
    DEMO_PATIENT,
    DRUG.display,
    'zyxomiracil',
  ];
  let redis: TestRedis;
  let server: TestServer;
  let person: string;
  /** Files under DATA_DIR while the service ran, so that the write-ahead log is among them. */
  let running: Map<string, Buffer>;

  beforeAll(async () => {
    redis = await startRedis();
    server = await startServer({
      DATA_DIR: folder.path,
      LOG_ORIGIN: config.env.LOG_ORIGIN as string,
      REDIS_URL: redis.url,
      RELAY_POLL_SECONDS: '0.1',
      DEMO_PASSWORD: PASSWORD,
      LOG_LEVEL: 'debug',
    });
    person = await life(server.address);
    running = filesUnder(folder.path);
  });
  afterAll(async () => {
    await server.kill();
    await redis.stop();
    folder.remove();
  });

  /** Something of everything that people may write down, refused requests and failed sign-ins among them. @returns the patient's id */
  async function life(address: string): Promise<string> {
    const as = Object.fromEntries(
      await Promise.all(
        ['admin', 'prescriber', 'pharmacist', 'pharmacist2'].map(
          async (who) => [who, await signIn(address, who)] as const,
        ),
      ),
    ) as Record<'admin' | 'prescriber' | 'pharmacist' | 'pharmacist2', HttpClient>;
    const { name, address: home, birthDate, system, identifier: value } = PERSON;
    const identifiers = [{ system, value }];
    const enrolled = done(
      await as.prescriber.post('/api/patients', { name, birthDate, address: home, identifiers }, randomUUID()),
    );
    const { id: patient } = z.object({ id: z.string() }).parse(enrolled['patient']);
    done(await as.pharmacist.post('/api/patients/search', { system, value }));
    done(await as.admin.post('/api/accounts', { role: 'patient', username, name, password, patient }, randomUUID()));
    done(
      await as.admin.post(
        '/api/accounts',
        {
          role: 'pharmacist',
          username: 'umbrellastand',
          name: TEXTS.pharmacist,
          password,
          org: DEMO_ORGANISATIONS.pharmacy.id,
        },
        randomUUID(),
      ),
    );
    const self = await signInAs(address, username, password);

    const order = (number: string) => ({
      number,
      patient,
      medication: DRUG,
      directions: TEXTS.directions,
      note: TEXTS.note,
      quantity: tablets('30'),
      daysSupply: 30,
    });
    const issued = done(await as.prescriber.post('/api/prescriptions', order('order-1'), randomUUID()));
    const { id } = z.object({ id: z.string() }).parse(issued['prescription']);
    const token = z.string().parse(issued['token']);
    const path = `/api/prescriptions/${id}`;
    done(await as.pharmacist.post(`${path}/lookup`, { token }));
    const claimed = done(await as.pharmacist.post(`${path}/claim`, { token }, randomUUID()));
    const { secret } = z.object({ secret: z.string() }).parse(claimed['claim']);
    secrets.push(token, secret);
    const handOver = { secret, quantity: tablets('10'), daysSupply: 10, note: TEXTS.dispenseNote };
    const { dispenseId } = z
      .object({ dispenseId: z.string() })
      .parse(done(await as.pharmacist.post(`${path}/dispenses`, handOver, randomUUID())));
    done(await as.pharmacist.post(`${path}/dispenses/${dispenseId}/reverse`, { reason: 'wrong-entry' }));
    done(await as.pharmacist.post(`${path}/dispenses`, { ...handOver, quantity: tablets('30'), daysSupply: 30 }));
    done(await self.post(`${path}/doses`, { outcome: 'taken', quantity: tablets('1') }));
    done(await self.post(`${path}/doses`, { outcome: 'skipped', reason: 'forgot' }));
    done(await self.post('/api/doses', { medication: DRUG, outcome: 'taken', quantity: tablets('1') }));

    const other = done(await as.prescriber.post('/api/prescriptions', order('order-2'), randomUUID()));
    const { id: cancelled } = z.object({ id: z.string() }).parse(other['prescription']);
    done(
      await as.prescriber.post(`/api/prescriptions/${cancelled}/cancel`, {
        reason: 'prescribed-in-error',
        note: TEXTS.cancelNote,
      }),
    );
    done(await as.pharmacist2.post(`/api/patients/${patient}/break-glass`, { reason: TEXTS.reason }));
    done(await as.pharmacist2.get(`/api/patients/${patient}`));
    const reported = {
      order: { issuer: DEMO_ORGANISATIONS.practice.id, number: 'order-1' },
      issue: 0,
      medication: DRUG,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: new Date().toISOString(),
      reason: 'outage',
      note: TEXTS.reportNote,
    };
    done(await as.pharmacist2.post('/api/dispense-reports', reported, randomUUID()));
    done(await as.pharmacist2.post('/api/dispense-reports', { ...reported, order: null, patient }, randomUUID()));

    // What fails is written about, too.
    const refused = [
      as.pharmacist2.get(`/api/patients/${encodeURIComponent(name)}`),
      as.pharmacist2.get(`/api/${encodeURIComponent(PERSON.identifier)}?name=${encodeURIComponent(home)}`),
      as.pharmacist2.post(`${path}/claim`, { token }),
      as.pharmacist2.post(`${path}/release`, { secret, reason: TEXTS.reason }),
      as.prescriber.post('/api/prescriptions', {
        ...order('order-3'),
        [name]: value,
        directions: { [home]: birthDate },
      }),
      as.prescriber.post('/api/patients', { name, birthDate, address: home, identifiers }),
    ];
    for (const answer of await Promise.all(refused)) expect(answer.status).toBeGreaterThanOrEqual(400);
    await expect(signInAs(address, username, `${password}!`)).rejects.toThrow('401');

    await until(
      async () => z.array(z.unknown()).parse((await as.prescriber.get('/api/discrepancies')).body['items']).length > 0,
      { what: 'the two sides are reconciled' },
    );
    return patient;
  }

  /** The files of Redis, and its values as it holds them now. */
  async function inRedis(): Promise<Map<string, Buffer>> {
    const client = new Redis(redis.url);
    const values: Buffer[] = [];
    try {
      const [, dir] = z.tuple([z.string(), z.string()]).parse(await client.config('GET', 'dir'));
      const keys = await client.keys('*');
      expect(keys.length).toBeGreaterThan(5);
      for (const key of keys) values.push(Buffer.from(key), ...(await contentOf(client, key)));
      return new Map([...filesUnder(join(dir, 'appendonlydir')), ['values', Buffer.concat(values)]]);
    } finally {
      client.disconnect();
    }
  }

  it('finds what is there, in whatever form', () => {
    for (const { form, bytes } of spellingsOf(PERSON.name)) {
      const place = Buffer.concat([randomBytes(500), bytes, randomBytes(500)]);
      expect([form, leaks([PERSON.name], new Map([['file', place]])).length > 0]).toEqual([form, true]);
    }
    for (let offset = 0; offset < 3; offset++) {
      const wrapped = Buffer.from(JSON.stringify({ [' '.repeat(offset)]: 'MRN-QXZ-5520178' })).toString('base64');
      expect(leaks(['MRN-QXZ-5520178'], new Map([['file', Buffer.from(wrapped)]]))).toHaveLength(1);
    }
    // The name of an organisation is public and stands in the clear.
    expect(leaks([DEMO_ORGANISATIONS.pharmacy.name], running).length).toBeGreaterThan(0);
  });

  it('nobody in the files of the running service', () => {
    const names = [...running.keys()];
    expect(names).toEqual(expect.arrayContaining(['rxledger.sqlite', 'rxledger.sqlite-wal', 'head', 'keys/index.key']));
    expect(running.get('rxledger.sqlite-wal')?.length).toBeGreaterThan(100_000);
    expect(leaks(secrets, running)).toEqual([]);
  });

  it('nobody in Redis, neither now nor in anything that it was ever told', async () => {
    const told = await inRedis();
    // Jobs name whom they are about by a number.
    expect(leaks(['{"subject":'], told)).not.toEqual([]);
    expect(leaks(secrets, told)).toEqual([]);
  });

  it('no drug in the tables of the ledger', async () => {
    const source = await openReader(config);
    try {
      const places = new Map<string, Buffer>();
      for (const { table } of LEDGER_TABLES) {
        const rows = await source.query<Record<string, unknown>[]>(`SELECT * FROM ${table}`);
        expect([table, rows.length > 0]).toEqual([table, true]);
        const cells = rows.flatMap((row) => Object.values(row));
        const bytes = cells.map((cell) => (Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell))));
        places.set(table, Buffer.concat(bytes));
      }
      expect(leaks([DRUG.code, DRUG.display, 'zyxomiracil', 'dispense.recorded'], places)).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  it('nobody in any form once the patient is erased and the keys of then are destroyed', async () => {
    const source = await openReader(config);
    const remains = await remainsOf(dbOf(source), person, config.keysDir);
    await source.destroy();
    const seen = found(remains, filesUnder(folder.path)).map((line) => line.replace(/^.*: /, ''));
    expect([...new Set(seen)].toSorted()).toEqual([...remains.keys()].toSorted());

    const admin = await signIn(server.address, 'admin');
    const erased = done(await admin.post(`/api/patients/${person}/erase`, { reason: 'request' }, randomUUID()));
    expect(erased).toMatchObject({ patient: person, complete: false });
    const env = { DATA_DIR: folder.path, LOG_ORIGIN: config.env.LOG_ORIGIN, LOG_LEVEL: 'silent' };
    const { terminal, said: told } = testTerminal({ env });
    expect(await runRotateEncryption({ json: true, destroyOld: true }, terminal)).toBe(0);
    expect(told.err).toEqual([]);
    expect(JSON.parse(told.out.join(''))).toMatchObject({ kek: '0002', destroyed: ['0001'], emptied: true });

    const report = await verified(config, CHAIN_MODELS);
    expect(report).toMatchObject({ ok: true, findings: [], erased: erased['chains'], incomplete: 0 });
    const logs = [server.stdout(), server.stderr()].map((text, at): [string, Buffer] => [
      `log ${at}`,
      Buffer.from(text),
    ]);
    expect(found(remains, new Map([...filesUnder(folder.path), ...(await inRedis()), ...logs]))).toEqual([]);
  });

  it('nobody in the logs, nor in what is left after the end', async () => {
    await server.terminate();
    const said = new Map([
      ['stdout', Buffer.from(server.stdout())],
      ['stderr', Buffer.from(server.stderr())],
    ]);
    expect(server.stdout().split('\n').length).toBeGreaterThan(10);
    // Where it starts, development mode prints what to paste first: its password, and the identifier of its patient.
    expect(
      leaks(
        secrets.filter((text) => text !== PASSWORD && !text.includes(DEMO_PATIENT)),
        said,
      ),
    ).toEqual([]);
    expect(leaks(secrets, filesUnder(folder.path))).toEqual([]);
    expect((await verified(config, CHAIN_MODELS)).findings).toEqual([]);
  });
});

/** @throws {Error} when it was refused */
function done({ status, body }: Answered): Record<string, unknown> {
  if (status >= 300) throw new Error(`refused: ${status} ${JSON.stringify(body)}`);
  return body;
}

function filesUnder(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length + 1), readFileSync(path)];
    }),
  );
}

/** All bytes of a key, uncompressed, whatever its type. */
async function contentOf(client: Redis, key: string): Promise<Buffer[]> {
  switch (await client.type(key)) {
    case 'string':
      return [(await client.getBuffer(key)) ?? Buffer.alloc(0)];
    case 'hash':
      return Object.entries(await client.hgetallBuffer(key)).flatMap(([name, value]) => [Buffer.from(name), value]);
    case 'list':
      return client.lrangeBuffer(key, 0, -1);
    case 'set':
      return client.smembersBuffer(key);
    case 'zset':
      return client.zrangeBuffer(key, 0, -1);
    default:
      return [Buffer.from(JSON.stringify(await client.xrange(key, '-', '+')))];
  }
}
