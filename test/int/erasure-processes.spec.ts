import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { appendFileSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { runRotateEncryption } from '../../src/cli/keys/rotate-encryption.js';
import { insertAccount } from '../../src/identity/accounts/accounts.js';
import { RECHECK_SECONDS } from '../../src/identity/guard/tokens.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { patientModel } from '../../src/patient/chain-model.js';
import { verified } from '../faults/verified.js';
import { accepted, type Api, issue, LISINOPRIL, newOrder, refusalOf, startApi, tablets } from '../support/api.js';
import { sharedPostgres } from '../support/engines.js';
import { temporaryFolder, testConfig } from '../support/ledger.js';
import { until } from '../support/wait.js';
import { testTerminal } from '../support/terminal.js';

const RACES = 12;
const postgres = await sharedPostgres();

/** Two services as two processes have them: one log, nothing shared in memory. */
describe.skipIf(postgres.missing)('an erasure beside another process', () => {
  const folder = temporaryFolder();
  let env: Record<string, string>;
  let one: Api;
  let other: Api;
  beforeAll(async () => {
    env = { DATA_DIR: folder.path, DATABASE_URL: await postgres.createDatabase(), LOG_ORIGIN: 'test.example/log' };
    one = await startApi(env);
    other = await startApi(env);
  });
  afterAll(async () => {
    await one?.close();
    await other?.close();
    folder.remove();
  });

  const enrolled = async (): Promise<string> => {
    const identifiers = [{ system: 'urn:mrn', value: randomUUID() }];
    return accepted(await one.as('admin').post('/api/patients', { name: 'Rae Raced', identifiers })).body.patient.id;
  };

  it('and a hold that is placed there at the same moment: one of them is refused', async () => {
    const said: string[] = [];
    for (let n = 0; n < RACES; n++) {
      const patient = await enrolled();
      const placing = () => other.as('admin').post(`/api/patients/${patient}/holds`, { reason: 'litigation' });
      const erasing = () => one.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' }, randomUUID());
      // Now the one, now the other sets out first.
      const [placed, erased] =
        n % 2 === 0
          ? await Promise.all([placing(), erasing()])
          : (await Promise.all([erasing(), placing()])).toReversed();
      said.push(`${refusalOf(placed as never)}, ${refusalOf(erased as never)}`);
    }
    const fair = ['201, 409 patient.on-hold', '404 ledger.chain-unknown, 200'];
    expect(said.filter((outcome) => !fair.includes(outcome))).toEqual([]);
  });

  it('knows an id in capital letters', async () => {
    const patient = await enrolled();
    const path = `/api/patients/${patient.toUpperCase()}`;
    const { hold } = accepted(await one.as('admin').post(`${path}/holds`, { reason: 'audit' })).body;
    const release = `${path}/holds/${hold.id.toUpperCase()}/release`;
    accepted(await other.as('admin').post(release, { reason: 'lifted' }));
    const erased = accepted(await one.as('admin').post(`${path}/erase`, { reason: 'request' }));
    expect(erased.body).toMatchObject({ patient, chains: 1 });
  });

  it('leaves nothing that the other serves from its memory', async () => {
    const { patient } = one.patients;
    const rx = await issue(other);
    accepted(await one.as('patient').get(rx.path));
    // The other has verified the token, and holds the chains and the key.
    accepted(await other.as('patient').post(`${rx.path}/doses`, { outcome: 'taken' }));
    accepted(await other.as('patient').get(`/api/patients/${patient}`));
    const twice = () => one.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' }, 'the-same');
    const [first, second] = (await Promise.all([twice(), twice()])).map(accepted);
    expect(first?.body).toMatchObject({ patient, chains: 2, complete: false });
    expect(second?.body).toMatchObject({ patient, chains: 2 });
    expect(
      accepted(await other.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' }, 'the-same')).body,
    ).toMatchObject({ patient, chains: 2 });

    const self = other.as('patient');
    const dose = { medication: LISINOPRIL, outcome: 'taken', quantity: tablets('1') };
    const refused = [
      await self.post('/api/doses', dose),
      await self.post(`${rx.path}/doses`, { outcome: 'taken' }),
      await self.get(`/api/patients/${patient}`),
      await self.get(rx.path),
      await self.get(`${rx.path}/token`),
      await other.as('prescriber').get(rx.path),
      await other.as('prescriber').post('/api/prescriptions', newOrder(other, { patient })),
      await other.as('pharmacist').post(`/api/patients/${patient}/break-glass`, { reason: 'an emergency' }),
    ];
    expect(refused.map(refusalOf)).toEqual(refused.map(() => '404 ledger.chain-unknown'));
    expect((await self.get('/api/prescriptions')).body.items).toEqual([]);
    expect(refusalOf(await self.get('/api/self'))).toBe('404 identity.account-unknown');
    const account = { role: 'patient', username: 'late', name: 'Late', password: 'long enough for this', patient };
    expect(refusalOf(await other.as('admin').post('/api/accounts', account))).toBe('422 identity.patient-unknown');
    // In the process that erased the token ends at once, in the other when it is checked again.
    expect(refusalOf(await one.as('patient').get('/api/prescriptions'))).toBe('401 access.unauthenticated');
    other.clock.advance(RECHECK_SECONDS * 1000);
    expect(refusalOf(await self.get('/api/prescriptions'))).toBe('401 access.unauthenticated');
  });

  it('leaves the memory of another machine within a look, and is filed there, too', async () => {
    const machine = temporaryFolder();
    cpSync(join(folder.path, 'keys'), join(machine.path, 'keys'), { recursive: true });
    const elsewhere = testConfig(machine.path, { ...env, DATA_DIR: machine.path, RELAY_POLL_SECONDS: '0.05' });
    const ledger = await openLedger(elsewhere, one.clock, CHAIN_MODELS);
    try {
      const patient = await enrolled();
      await ledger.reader.chain(patient, patientModel);
      expect(ledger.vault.subjects.byId(patient)).toBeDefined();
      accepted(await one.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' }));
      await until(() => Promise.resolve(ledger.vault.subjects.byId(patient) === undefined), { what: 'it forgets' });
      const file = join(machine.path, 'erased');
      await until(() => Promise.resolve(readFileSync(file, 'utf8').includes(patient)), { what: 'it files' });
    } finally {
      await ledger.close();
      machine.remove();
    }
  });

  it('takes an account with it that is made there at the same moment', async () => {
    const patient = await enrolled();
    const ledger = await openLedger(testConfig(folder.path, env), one.clock, CHAIN_MODELS);
    const watch = new Client({ connectionString: env['DATABASE_URL'] });
    await watch.connect();
    try {
      const signals = new EventEmitter();
      const [made, gate] = [once(signals, 'made'), once(signals, 'go on')];
      const account = { role: 'patient', username: 'at.once', name: 'At Once', patient } as const;
      const making = ledger.writer.side(async (db) => {
        await insertAccount(db, ledger.vault, { id: randomUUID(), account, password: null, demo: false }, 0);
        signals.emit('made');
        await gate;
      });
      await made;
      const erasing = one.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' });
      const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      await until(async () => (await watch.query(waits)).rows.length > 0, { what: 'the erasure waits' });
      signals.emit('go on');
      await making;
      expect((await erasing).status).toBe(200);
      expect((await watch.query('SELECT id FROM account WHERE patient = $1', [patient])).rows).toEqual([]);
    } finally {
      await watch.end();
      await ledger.close();
    }
  });

  it('is made again at the start of a third, and completed beside them', async () => {
    const living = await enrolled();
    // A pharmacy named the wrong patient with an order that was not there yet; the order's own was erased since.
    const mistaken = await enrolled();
    const order = await issue(other, { patient: mistaken });
    // As a backup from before an erasure would have it.
    appendFileSync(join(folder.path, 'erased'), `\n${living}\n${order.id}\n`);
    await (await openLedger(testConfig(folder.path, env), one.clock, CHAIN_MODELS)).close();
    expect(refusalOf(await other.as('admin').get(`/api/patients/${living}/holds`))).toBe('404 ledger.chain-unknown');
    accepted(await other.as('admin').get(`/api/patients/${mistaken}/holds`));

    const { terminal, said } = testTerminal({ env: { ...env, LOG_LEVEL: 'silent' } });
    expect(await runRotateEncryption({ json: true, destroyOld: true }, terminal)).toBe(0);
    expect(JSON.parse(said.out.join(''))).toMatchObject({ destroyed: ['0001'] });
    const { patient } = one.patients;
    const again = await other.as('admin').post(`/api/patients/${patient}/erase`, { reason: 'request' }, 'the-same');
    expect(again.body).toMatchObject({ patient, chains: 2, complete: true });
    const report = await verified(testConfig(folder.path, env), CHAIN_MODELS);
    expect(report).toMatchObject({ ok: true, findings: [], incomplete: 0 });
    expect(report.erased).toBeGreaterThan(3);
  });
});
