import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { runRotateEncryption } from '../../src/cli/keys/rotate-encryption.js';
import { Config } from '../../src/config/config.js';
import { verifyReceipt, type Receipt } from '../../src/ledger/core/record/receipt.js';
import { SYSTEM } from '../../src/ledger/model.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { decideReconcile } from '../../src/patient/decide.js';
import { patientModel } from '../../src/patient/chain-model.js';
import type { Patient } from '../../src/patient/state.js';
import {
  accepted,
  type Api,
  claim,
  dispense,
  issue,
  LISINOPRIL,
  newOrder,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';
import { temporaryFolder } from '../support/ledger.js';
import { testTerminal } from '../support/terminal.js';

const STAFF = ['prescriber', 'pharmacist', 'patient', 'auditor'];
const erase = (api: Api, patient: string, key?: string, reason = 'request') =>
  api.as('admin').post(`/api/patients/${patient}/erase`, { reason }, key);
const place = (api: Api, patient: string, body: object = { reason: 'litigation' }, key?: string) =>
  api.as('admin').post(`/api/patients/${patient}/holds`, body, key);
const typeIn = ({ payload = '' }: Receipt): unknown => JSON.parse(Buffer.from(payload, 'base64').toString());

/** An order, a dispense and a dose of this patient. @returns the order */
async function treated(api: Api, patient: string, who: string): Promise<string> {
  const rx = await issue(api, { patient });
  const secret = await claim(api, rx);
  await dispense(api, rx, secret);
  accepted(await api.as(who).post(`${rx.path}/doses`, { outcome: 'taken' }));
  return rx.id;
}

/** What is told of whether a patient is there. */
const patientHere = async (api: Api, id: string) => refusalOf(await api.as('admin').get(`/api/patients/${id}/holds`));

/** Handed over, and reported of nobody. */
async function suppliedToNobody(api: Api): Promise<{ supply: string; owner: string }> {
  const report = {
    medication: LISINOPRIL,
    quantity: tablets('30'),
    daysSupply: 30,
    whenHandedOver: new Date(api.clock.now() - 86_400_000).toISOString(),
    reason: 'outage',
  };
  const supply: string = accepted(await api.as('pharmacist').post('/api/dispense-reports', report)).body.id;
  const [row] = await api.db.query<{ id: string }>(
    'SELECT s.id FROM subject s JOIN chain c ON c.subject = s.num WHERE c.id = ?',
    [supply],
  );
  return { supply, owner: row?.id ?? '' };
}

describe('holds', () => {
  let api: Api;
  let patient: string;
  beforeAll(async () => {
    api = await startApi();
    ({ patient } = api.patients);
  });
  afterAll(() => api.close());

  it('are placed, listed and released by the administrator alone', async () => {
    const path = `/api/patients/${patient}/holds`;
    const key = randomUUID();
    const asked = { reason: 'litigation', until: '2999-12-31', authority: 'District Court: 26-CV-104' };
    const first = accepted(await place(api, patient, asked, key));
    expect([first.status, first.body.hold]).toMatchObject([201, { ...asked, releasedAt: null }]);
    expect((await place(api, patient, asked, key)).body.hold).toEqual(first.body.hold);
    const { id } = first.body.hold;
    for (const who of STAFF) {
      const refused = [
        await api.as(who).post(path, asked),
        await api.as(who).get(path),
        await api.as(who).post(`${path}/${id}/release`, { reason: 'lifted' }),
        await api.as(who).post(`/api/patients/${patient}/erase`, { reason: 'request' }),
      ];
      expect([who, ...refused.map(refusalOf)]).toEqual([who, ...refused.map(() => '403 access.forbidden')]);
    }
    const released = accepted(await api.as('admin').post(`${path}/${id}/release`, { reason: 'lifted' }));
    expect(released.body.hold).toMatchObject({ id, releasedAt: expect.any(String) });
    expect((await api.as('admin').get(path)).body.items).toEqual([released.body.hold]);
    const again = await api.as('admin').post(`${path}/${id}/release`, { reason: 'lifted' });
    expect(refusalOf(again)).toBe('409 hold.already-released');
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ['no such hold', () => release(randomUUID()), '404 hold.unknown'],
    ['over already', () => place(api, patient, { reason: 'audit', until: '2020-01-01' }), '422 hold.until-past'],
    ['nobody', () => place(api, randomUUID()), '404 ledger.chain-unknown'],
    ['nobody listed', () => api.as('admin').get(`/api/patients/${randomUUID()}/holds`), '404 ledger.chain-unknown'],
    ['nobody erased', () => erase(api, randomUUID()), '404 ledger.chain-unknown'],
    ['no code', () => place(api, patient, { reason: 'because' }), '400 request.invalid'],
    ['no code for an erasure', () => erase(api, patient, undefined, 'because'), '400 request.invalid'],
    ['an organisation', () => erase(api, api.orgs.practice), '404 ledger.chain-unknown'],
  ])('refused: %s', async (_, ask, expected) => {
    expect(refusalOf((await ask()) as never)).toBe(expected);
  });
  const release = (hold: string) =>
    api.as('admin').post(`/api/patients/${patient}/holds/${hold}/release`, { reason: 'lifted' });

  it('refuse an erasure while they are in force, and say so without who demands it', async () => {
    const until = new Date(api.clock.now() + 86_400_000).toISOString().slice(0, 10);
    const authority = 'the court that must not be told';
    const { id } = accepted(await place(api, patient, { reason: 'investigation', until, authority })).body.hold;
    const refused = await erase(api, patient, randomUUID());
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      code: 'patient.on-hold',
      holds: [{ holdId: id, reason: 'investigation', until }],
    });
    expect(refused.text).not.toContain(authority);
    expect((await api.as('patient').get(`/api/patients/${patient}`)).status).toBe(200);
    api.clock.advance(3 * 86_400_000);
    expect((await erase(api, patient)).status).toBe(200);
  });
});

describe('an erasure', () => {
  let api: Api;
  let patient: string;
  let order: string;
  const folder = temporaryFolder();
  beforeAll(async () => {
    api = await startApi({ DATA_DIR: folder.path });
    ({ patient } = api.patients);
    order = await treated(api, patient, 'patient');
    accepted(
      await api.as('patient').post('/api/doses', { medication: LISINOPRIL, outcome: 'taken', quantity: tablets('1') }),
    );
  });
  afterAll(async () => {
    await api.close();
    folder.remove();
  });

  it('ends every chain, answers repeats alike, and leaves nobody', async () => {
    const key = randomUUID();
    const other = await treated(api, api.patients.patient2, 'patient2');
    const { supply, owner } = await suppliedToNobody(api);
    accepted(await api.as('pharmacist').post(`/api/supplies/${supply}/match`, { prescription: order }));
    const issued = newOrder(api, { patient });
    const earlier = randomUUID();
    accepted(await api.as('prescriber').post('/api/prescriptions', issued, earlier));

    // The file cannot be written: it is committed, not acknowledged, and filed when it is asked for again.
    mkdirSync(join(folder.path, 'erased'));
    expect(refusalOf(await erase(api, patient, key))).toBe('503 ledger.unavailable');
    rmdirSync(join(folder.path, 'erased'));
    const erased = accepted(await erase(api, patient, key));
    expect(readFileSync(join(folder.path, 'erased'), 'utf8')).toContain(`\n${patient}\n`);
    const { receipt, receipts, ...said } = erased.body;
    // The patient, two orders, a supply of their own and one that was nobody's.
    expect(said).toEqual({ patient, chains: 5, complete: false });
    expect(receipts.at(-1)).toEqual(receipt);
    for (const each of receipts) {
      expect(verifyReceipt(each, api.vkey)).toMatchObject({ ok: true });
      expect(typeIn(each)).toMatchObject({ type: 'erased/1', data: { reason: 'request' }, derived: { kek: '0001' } });
    }
    const again = accepted(await erase(api, patient, key));
    expect(again.body).toMatchObject(said);
    expect(again.body.receipts.map(({ index }: Receipt) => index)).toEqual(receipts.map(({ index }: Receipt) => index));
    expect(refusalOf(await erase(api, patient, key, 'order'))).toBe('422 idempotency.key-reused');
    expect(refusalOf(await erase(api, patient, randomUUID()))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await place(api, patient))).toBe('404 ledger.chain-unknown');

    const gone = [
      await api.as('prescriber').get(`/api/prescriptions/${order}`),
      await api.as('pharmacist').get(`/api/prescriptions/${order}/doses`),
      await api.as('prescriber').get(`/api/patients/${patient}`),
      await api.as('prescriber').post('/api/prescriptions', newOrder(api, { patient })),
      await api.as('pharmacist').post(`/api/patients/${patient}/break-glass`, { reason: 'an emergency' }),
    ];
    expect(gone.map(refusalOf)).toEqual(gone.map(() => '404 ledger.chain-unknown'));
    expect(refusalOf(await api.as('prescriber').post('/api/prescriptions', issued, earlier))).toBe('410 ledger.erased');
    expect(refusalOf(await api.as('patient').get('/api/prescriptions'))).toBe('401 access.unauthenticated');
    await expect(api.signIn('patient')).rejects.toThrow('401');
    const account = {
      role: 'patient',
      username: 'somebody.else',
      name: 'Pat',
      password: 'long enough for this',
      patient,
    };
    expect(refusalOf(await api.as('admin').post('/api/accounts', account))).toBe('422 identity.patient-unknown');
    // The others are there as before.
    expect((await api.as('prescriber').get(`/api/prescriptions/${other}`)).status).toBe(200);
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], erased: 5, incomplete: 5 });

    // Completed beside the service: repeats are still known, though nobody can tell any more what was asked.
    const { terminal, said: told } = testTerminal({ env: { DATA_DIR: folder.path, LOG_LEVEL: 'silent' } });
    expect(await runRotateEncryption({ json: true, destroyOld: true }, terminal)).toBe(0);
    expect(JSON.parse(told.out.join(''))).toMatchObject({ destroyed: ['0001'], emptied: true });
    // The key of who was nobody, which an older backup holds the supply under.
    expect(await api.db.query('SELECT num FROM subject WHERE id = ?', [owner])).toEqual([]);
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], erased: 5, incomplete: 0 });
    expect(accepted(await erase(api, patient, key)).body).toMatchObject({ patient, chains: 5, complete: true });
    expect(refusalOf(await api.as('prescriber').post('/api/prescriptions', issued, earlier))).toBe('410 ledger.erased');
  });
});

describe('an erasure over restarts', () => {
  const root = temporaryFolder();
  const folder = join(root.path, 'log');
  const env = { DATA_DIR: folder };
  const file = join(folder, 'erased');
  afterAll(() => root.remove());
  const serving = async <T>(work: (api: Api) => Promise<T>): Promise<T> => {
    const api = await startApi(env);
    try {
      return await work(api);
    } finally {
      await api.close();
    }
  };

  it('holds in a backup that is restored, and for a process that died before it was filed', async () => {
    const backup = join(root.path, 'backup');
    const before = await serving(async (api) => {
      const admin = api.as('admin');
      const identifiers = [{ system: 'urn:mrn', value: 'restored' }];
      const body = { name: 'Rita Restored', identifiers };
      const { id }: { id: string } = accepted(await admin.post('/api/patients', body)).body.patient;
      const account = { role: 'patient', username: 'rita', name: 'Rita', password: 'long enough for this' };
      accepted(await admin.post('/api/accounts', { ...account, patient: id }));
      const rx = await issue(api, { patient: id });
      await claim(api, rx);
      const found = await suppliedToNobody(api);
      await disagree(api, found.owner, found.supply);
      return { id, rx, found, other: await suppliedToNobody(api) };
    });
    cpSync(folder, backup, { recursive: true });
    const { id, rx, found, other } = before;
    const chains = [id, rx.id, found.supply, found.owner, other.supply].toSorted();

    const erased = await serving(async (api) => {
      for (const { supply } of [found, other])
        accepted(await api.as('pharmacist').post(`/api/supplies/${supply}/match`, { prescription: rx.id }));
      return accepted(await erase(api, id, randomUUID())).body;
    });
    // With them goes what was found about a supply when it was nobody's.
    expect(erased.chains).toBe(5);
    const filed = () => readFileSync(file, 'utf8').split('\n').filter(Boolean).toSorted();
    expect(filed()).toEqual(chains);

    // A process that died between the commit and the file.
    rmSync(file);
    await serving(async (api) => expect(await patientHere(api, id)).toBe('404 ledger.chain-unknown'));
    expect(filed()).toEqual(chains);

    // In the backup one of the supplies is nobody's, and nothing is found about it.
    for (const name of ['rxledger.sqlite', 'rxledger.sqlite-wal', 'rxledger.sqlite-shm', 'head'])
      rmSync(join(folder, name), { force: true });
    for (const name of ['rxledger.sqlite', 'head']) cpSync(join(backup, name), join(folder, name));
    const size = await serving(async (api) => {
      expect(await patientHere(api, id)).toBe('404 ledger.chain-unknown');
      expect(refusalOf(await api.as('prescriber').get(rx.path))).toBe('404 ledger.chain-unknown');
      const rows = await api.db.query<{ id: string; text: string }>(
        `SELECT c.id, CAST(substr(p.body, 34) AS text) AS text FROM chain c
         JOIN entry e ON e.chain = c.num AND e.seq = c.seq JOIN payload p ON p.idx = e.idx WHERE length(c.data_key) = 0`,
      );
      expect(rows.map((row) => row.id).toSorted()).toEqual(chains);
      for (const { text } of rows)
        expect(JSON.parse(text)).toMatchObject({ actor: { id: 'system' }, data: { reason: 'restored' } });
      expect(await api.db.query('SELECT id FROM account WHERE patient = ?', [id])).toEqual([]);
      const report = await api.verify();
      expect(report).toMatchObject({ ok: true, findings: [], erased: 5 });
      return report.size;
    });
    expect(await serving(async (api) => (await api.verify()).size)).toBe(size);
    expect(filed()).toEqual([...chains, other.owner].toSorted());
  });

  /** What the worker records about a supply that is nobody's. */
  async function disagree(api: Api, owner: string, about: string): Promise<void> {
    const ledger = await openLedger(Config.parse({ ...env, LOG_LEVEL: 'silent' }), api.clock, CHAIN_MODELS);
    const discrepancy = {
      id: 'D12:AAECAwQFBgcICQoLDA0ODw',
      class: 'D12' as const,
      chain: about,
      side: 'pharmacy' as const,
      orgs: [api.orgs.pharmacy],
      reporters: [],
      evidence: {},
    };
    const outcome = await ledger.writer.commit({
      actor: SYSTEM,
      chains: [{ id: owner, model: patientModel, mode: 'either', subject: { subject: owner } }],
      decide: ({ states, now }) =>
        decideReconcile(
          states[0] as Patient | null,
          { opened: [discrepancy], gone: [] },
          { chain: owner, now, actor: SYSTEM },
        ),
    });
    await ledger.close();
    expect(outcome.ok).toBe(true);
  }
});
