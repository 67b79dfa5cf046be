import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_ORGANISATIONS } from '../../src/seed/demo-accounts.js';
import { bundle, encounter, ids, order, organisation, patient, practitioner } from '../../src/import/bundle.fixture.js';
import { IMPORT_REASONS } from '../../src/import/reasons.js';
import { REFUSALS } from '../../src/refusals/refusals.js';
import { accepted, type Api, newOrder, refusalOf, startApi } from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';
import { rounds } from '../support/length.js';
import { startNode, startServer } from '../support/process.js';
import { runCommand } from '../support/terminal.js';

const SYNTHEA = resolve('../shared/fhir/synthea');
const REASONS = new Set([...Object.keys(IMPORT_REASONS), ...Object.keys(REFUSALS)]);
const redis = await sharedRedis();

/** Runs a command line on the ledger in that folder. */
const rx = (dataDir: string, ...args: string[]) => runCommand(args, { DATA_DIR: dataDir });

interface Imported {
  recorded: number;
  alreadyThere: number;
  refused: { source: string; reason: string }[];
}
async function importInto(dataDir: string, ...files: string[]): Promise<Imported & { code: number }> {
  const { code, out } = await rx(dataDir, 'import', '--json', ...files);
  return { code, ...(JSON.parse(out) as Imported) };
}

/** Changes one character of base64 text into another one. */
function flipped(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
}

/** Every check that an auditor makes of a ledger and of its export; each must find what was changed. */
async function expectVerifiable(dataDir: string, entries: number): Promise<void> {
  const verified = await rx(dataDir, 'log', 'verify', '--json');
  expect(verified.code).toBe(0);
  expect(JSON.parse(verified.out)).toMatchObject({ ok: true, size: entries, entries, payloads: entries, findings: [] });

  const vkey = (await rx(dataDir, 'log', 'vkey')).out;
  expect(vkey).toMatch(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/);
  const file = join(dataDir, 'log.ndjson');
  expect((await rx(dataDir, 'log', 'export', '--out', file)).code).toBe(0);
  const checked = await rx(dataDir, 'log', 'verify', file, '--vkey', vkey, '--json');
  expect(checked.code).toBe(0);
  expect(JSON.parse(checked.out)).toMatchObject({ ok: true, size: entries });

  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const changed = join(dataDir, 'changed.ndjson');
  for (const [number, line] of lines.entries()) {
    const from = line.indexOf(number === 0 ? '—' : '"entry":"') + 60;
    await writeFile(changed, `${lines.with(number, flipped(line, from)).join('\n')}\n`);
    const found = await rx(dataDir, 'log', 'verify', changed, '--vkey', vkey);
    expect({ number, code: found.code }).toEqual({ number, code: 1 });
  }
}

describe('a made-up Bundle', () => {
  let api: Api;
  const folder = temporaryFolder();
  const file = join(folder.path, 'bundle.json');
  const { practice } = DEMO_ORGANISATIONS;
  const clinic = { ...organisation, id: practice.id };
  const visit = { ...encounter, serviceProvider: { reference: `urn:uuid:${practice.id}` } };
  const second = 'd7c6b5a4-2e3f-4b4c-9d5e-6f7a8b9c0d66';
  const third = 'e8d7c6b5-3f4a-4c5d-8e6f-7a8b9c0d1e77';

  beforeAll(async () => {
    api = await startApi({ DATA_DIR: folder.path });
    const orders = [
      order(),
      { ...order({ status: 'stopped', dispenseRequest: {} }), id: second },
      { ...order({ status: 'draft' }), id: third },
    ];
    await writeFile(file, bundle(patient, clinic, practitioner, visit, ...orders));
  });
  afterAll(async () => {
    await api.close();
    folder.remove();
  });

  it('is recorded beside the service, order by order or with a reason, and once', async () => {
    expect(await importInto(folder.path, file)).toEqual({
      code: 1,
      recorded: 2,
      alreadyThere: 0,
      refused: [{ source: `${file}:entry[6]`, reason: 'import.draft' }],
    });
    expect(await importInto(folder.path, file)).toMatchObject({ recorded: 0, alreadyThere: 2, refused: [{}] });
    expect((await rx(folder.path, 'import', file)).out).toContain('import.draft: It is a draft.');
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });

  it('is on the lists of the practice that stands for it and of its patient, and nobody else sees it', async () => {
    const list = async (who: string) => accepted(await api.as(who).get('/api/prescriptions')).body.items;
    const items: { id: string; number: string; patient: string }[] = await list('prescriber');
    expect(items.map(({ number }) => number).toSorted()).toEqual([ids.order, second].toSorted());
    expect(items).toContainEqual(
      expect.objectContaining({
        number: ids.order,
        issuer: practice.id,
        status: 'active',
        historical: true,
        directions: expect.stringContaining('One in the morning.'),
        quantity: { value: '30', unit: expect.any(String) },
        refills: 2,
        writtenOn: '2020-01-02',
        validUntil: null,
      }),
    );
    for (const who of ['prescriber2', 'pharmacist', 'pharmacist2', 'patient', 'patient2'])
      expect({ who, items: await list(who) }).toEqual({ who, items: [] });
    const [first] = items;
    for (const who of ['prescriber2', 'pharmacist', 'patient'])
      expect(refusalOf(await api.as(who).get(`/api/prescriptions/${first?.id}`))).toBe('404 ledger.chain-unknown');

    const account = { username: 'imported', name: 'Ada Sample', password: 'correct horse battery', role: 'patient' };
    accepted(await api.as('admin').post('/api/accounts', { ...account, patient: first?.patient }));
    expect((await list('imported')).map(({ id }: { id: string }) => id).toSorted()).toEqual(
      items.map(({ id }) => id).toSorted(),
    );
  });

  it('opens nothing: no token, no claim without one', async () => {
    const [item] = accepted(await api.as('prescriber').get('/api/prescriptions?status=active')).body.items;
    const path = `/api/prescriptions/${item.id}`;
    expect(accepted(await api.as('prescriber').get(`${path}/token`)).body).toEqual({ token: null });
    const claim = async (body: object) => refusalOf(await api.as('pharmacist').post(`${path}/claim`, body));
    expect(await claim({})).toBe('404 ledger.chain-unknown');
    expect(await claim({ token: 'guess' })).toBe('403 claim.token-wrong');
  });
});

describe('a ledger that an import made', () => {
  it('verifies, as does its export; each flipped byte is found', async () => {
    const folder = temporaryFolder();
    try {
      const file = join(folder.path, 'bundle.json');
      await writeFile(file, bundle(patient, organisation, practitioner, encounter, order()));
      expect(await importInto(folder.path, file)).toMatchObject({ code: 0, recorded: 1 });
      await expectVerifiable(folder.path, 2);
    } finally {
      folder.remove();
    }
  });
});

const synthea = existsSync(SYNTHEA) ? null : `no ${SYNTHEA}`;
if (synthea !== null) process.stderr.write(`Tests of real input are skipped: ${synthea}\n`);

/** Files of patients refer to whom the other two hold. */
const isPatients = (name: string) => !/^(hospital|practitioner)Information/.test(name);

describe.skipIf(synthea !== null)('the Synthea files', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it('give 25 orders, each recorded or refused with a reason, once, in a ledger that verifies', async () => {
    const named = readdirSync(SYNTHEA);
    const inOrder = [...named.filter((name) => !isPatients(name)).toSorted(), ...named.filter(isPatients)];
    const files = inOrder.map((name) => join(SYNTHEA, name));
    expect(files).toHaveLength(4);
    const first = await importInto(folder.path, ...files);
    expect(first.recorded + first.refused.length).toBe(25);
    expect(first.alreadyThere).toBe(0);
    expect(first.recorded).toBeGreaterThan(0);
    expect(first.refused.filter(({ reason }) => !REASONS.has(reason))).toEqual([]);

    const again = await importInto(folder.path, ...files);
    expect(again).toEqual({ ...first, recorded: 0, alreadyThere: first.recorded });
    await expectVerifiable(folder.path, first.recorded + 2);
  });
});

const ORDERS = rounds(100, 300);

describe.skipIf(redis.missing !== null)('an import beside a service of another process', () => {
  it('takes turns with it on one SQLite file: both get through', async () => {
    const folder = temporaryFolder();
    const orders = Array.from({ length: ORDERS }, (_, i) => ({
      ...order(),
      id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    }));
    const file = join(folder.path, 'bundle.json');
    await writeFile(file, bundle(patient, organisation, practitioner, encounter, ...orders));
    const env = {
      DATA_DIR: folder.path,
      DEMO_PASSWORD: 'correct horse battery',
      REDIS_URL: redis.url,
      LOG_LEVEL: 'error',
    };
    const server = await startServer(env);
    try {
      const request = supertest(server.address);
      const { body } = await request
        .post('/api/auth/sign-in')
        .send({ username: 'prescriber', password: env.DEMO_PASSWORD });
      const found = await request
        .post('/api/patients/search')
        .auth(body.accessToken, { type: 'bearer' })
        .send({ system: 'urn:rxledger:demo', value: 'demo-patient-1' });
      const sent = newOrder({ patients: { patient: found.body.patient.id } } as Api);

      const importing = startNode('bin/rxledger.js', ['import', '--json', file], { env: { DATA_DIR: folder.path } });
      const importer = { runs: true };
      void importing.ended.then(() => (importer.runs = false));
      const answers: number[] = [];
      while (importer.runs) {
        const issued = await Promise.all(
          Array.from({ length: 4 }, () =>
            request.post('/api/prescriptions').auth(body.accessToken, { type: 'bearer' }).send(sent),
          ),
        );
        answers.push(...issued.map(({ status }) => status));
      }
      expect((await importing.ended).code).toBe(0);
      expect(JSON.parse(importing.stdout())).toEqual({ recorded: ORDERS, alreadyThere: 0, refused: [] });
      expect(new Set(answers)).toEqual(new Set([201]));
      expect(await server.terminate()).toBe(0);
      const verified = await rx(folder.path, 'log', 'verify', '--json');
      expect(JSON.parse(verified.out)).toMatchObject({ ok: true, findings: [] });
    } finally {
      await server.kill();
      folder.remove();
    }
  });
});
