import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { ChainHeadKey } from '../../src/log/chains/chain-head-key.js';
import { Config } from '../../src/config/config.js';
import { toBase64 } from '../../src/ledger/core/bytes.js';
import { compareWithHead, compareWithList } from '../../src/ledger/core/statements/compare-heads.js';
import {
  BEFORE_ALL,
  LAST_OF_ALL,
  type SignedChainList,
  verifyChainList,
} from '../../src/ledger/core/statements/chain-list-note.js';
import {
  parseChainHeadKey,
  type SignedChainHead,
  verifyChainHead,
} from '../../src/ledger/core/statements/chain-head-note.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import type { VerifierKey } from '../../src/ledger/core/tlog/note.js';
import { type VerifiedReceipt, verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { SYSTEM } from '../../src/ledger/model.js';
import { openLedger } from '../../src/ledger/start/open-ledger.js';
import { accepted, type Answer, type Api, LISINOPRIL, newOrder, refusalOf, startApi, tablets } from '../support/api.js';
import { sharedPostgres } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';

const postgres = await sharedPostgres();
const somebody = () => ({ name: 'Ada', identifiers: [{ system: 'urn:example:mrn', value: randomUUID() }] });

describe.each([
  ['SQLite', false],
  ['PostgreSQL', true],
])('on %s', (_, onPostgres) => {
  describe.skipIf(onPostgres && postgres.missing)('chain heads', () => {
    const folder = temporaryFolder();
    let env: Record<string, string>;
    let api: Api;
    let key: VerifierKey;
    beforeAll(async () => {
      env = { DATA_DIR: folder.path, ...(onPostgres && { DATABASE_URL: await postgres.createDatabase() }) };
      api = await startApi(env);
      key = parseChainHeadKey(accepted(await api.as('patient').get('/api/chains/vkey')).body.vkey);
    });
    afterAll(async () => {
      await api.close();
      folder.remove();
    });

    const headOf = (who: string, chain: string) => api.as(who).get(`/api/chains/${chain}/head`);

    async function signedHead(who: string, chain: string): Promise<SignedChainHead> {
      const { body } = accepted(await headOf(who, chain));
      const result = verifyChainHead(body.note, key);
      if (!result.ok) throw new Error(result.reason);
      const { head } = result;
      expect(body).toMatchObject({ chain: head.chain, seq: head.seq, leaf: toBase64(head.leaf), size: head.size });
      expect(openCheckpoint(body.checkpoint, api.vkey)).toMatchObject({ size: head.size, origin: head.origin });
      return head;
    }

    async function signedLists(who: string, limit: number): Promise<SignedChainList[]> {
      const lists: SignedChainList[] = [];
      for (let after: string | null = BEFORE_ALL; after !== null;) {
        const { body }: Answer = accepted(await api.as(who).get(`/api/chains?limit=${limit}&after=${after}`));
        const result = verifyChainList(body.note, key);
        if (!result.ok) throw new Error(result.reason);
        const { list } = result;
        expect(list.after).toBe(after);
        expect(list.through).toBe(body.next ?? LAST_OF_ALL);
        expect(body).toMatchObject({ owner: list.owner, size: list.size });
        expect(body.chains).toEqual(list.chains.map((one) => ({ ...one, leaf: toBase64(one.leaf) })));
        expect(openCheckpoint(body.checkpoint, api.vkey).size).toBe(list.size);
        lists.push(list);
        after = body.next;
      }
      return lists;
    }
    const listed = async (who: string): Promise<string[]> =>
      (await signedLists(who, 5000)).flatMap(({ chains }) => chains.map(({ chain }) => chain));

    function held({ body }: Answer): VerifiedReceipt {
      const result = verifyReceipt(body.receipt, api.vkey);
      if (!result.ok) throw new Error(result.reason);
      return result;
    }

    /** Issued, and claimed by the token. */
    async function claimed(over: object = {}, who = 'prescriber', by = 'pharmacist') {
      const issued = accepted(await api.as(who).post('/api/prescriptions', newOrder(api, over)));
      const id: string = issued.body.prescription.id;
      const path = `/api/prescriptions/${id}`;
      const claim = accepted(await api.as(by).post(`${path}/claim`, { token: issued.body.token }));
      const secret: string = claim.body.claim.secret;
      const dispense = async () =>
        accepted(await api.as(by).post(`${path}/dispenses`, { secret, quantity: tablets('30') }));
      return { id, path, issued, claim, dispense };
    }
    const report = (over: object = {}) => ({
      medication: LISINOPRIL,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: new Date(api.clock.now() - 60_000).toISOString(),
      reason: 'outage',
      ...over,
    });

    it('are for all who stand in a relation, and fit their receipts', async () => {
      const rx = await claimed();
      const before = await signedHead('patient', rx.id);
      const dispense = held(await rx.dispense());
      for (const who of ['prescriber', 'pharmacist', 'patient', 'auditor']) {
        const head = await signedHead(who, rx.id);
        expect(head).toMatchObject({ origin: api.reader.origin, chain: rx.id, seq: dispense.entry.seq });
        for (const receipt of [held(rx.issued), held(rx.claim), dispense]) {
          expect(compareWithHead(receipt, head)).toBe('agrees');
        }
      }
      expect(compareWithHead(held(rx.claim), before)).toBe('agrees');
      expect(compareWithHead(dispense, before)).toBe('older');
    });

    it('in which the operator leaves an entry out are found out by its receipt', async () => {
      const rx = await claimed();
      const before = await signedHead('patient', rx.id);
      const dispense = held(await rx.dispense());
      const now = await signedHead('patient', rx.id);
      const operator = new ChainHeadKey(now.origin, readFileSync(join(folder.path, 'keys', 'chain-head.key')));
      const lie = verifyChainHead(operator.head({ ...before, size: now.size }), key);
      expect(lie.ok && compareWithHead(dispense, lie.head)).toBe('withheld');
    });

    it('of supplies and patients', async () => {
      const rx = await claimed({ patient: api.patients.patient2 }, 'prescriber2', 'pharmacist2');
      const supply = accepted(
        await api.as('pharmacist').post('/api/dispense-reports', report({ patient: api.patients.patient })),
      );
      const id: string = supply.body.id;
      for (const who of ['pharmacist', 'patient', 'auditor']) {
        expect(compareWithHead(held(supply), await signedHead(who, id))).toBe('agrees');
      }
      for (const who of ['pharmacist2', 'patient2', 'prescriber', 'prescriber2']) {
        expect(refusalOf(await headOf(who, id))).toBe('404 ledger.chain-unknown');
      }
      for (const who of ['patient2', 'prescriber2', 'pharmacist2', 'auditor']) {
        expect((await signedHead(who, api.patients.patient2)).chain).toBe(api.patients.patient2);
      }
      for (const who of ['patient', 'pharmacist', 'prescriber']) {
        expect(refusalOf(await headOf(who, api.patients.patient2))).toBe('404 ledger.chain-unknown');
      }
      expect(await listed('patient2')).toEqual(expect.arrayContaining([rx.id, api.patients.patient2]));
    });

    it('are 404 to all others, as if the chain did not exist', async () => {
      const rx = await claimed();
      const unknown = await headOf('patient2', randomUUID());
      expect(refusalOf(unknown)).toBe('404 ledger.chain-unknown');
      for (const who of ['patient2', 'prescriber2', 'pharmacist2']) {
        const answer = await headOf(who, rx.id);
        expect([answer.status, answer.text]).toEqual([404, unknown.text]);
      }
      expect(refusalOf(await headOf('auditor', randomUUID()))).toBe('404 ledger.chain-unknown');
      expect(refusalOf(await headOf('admin', rx.id))).toBe('403 access.forbidden');
      expect(refusalOf(await headOf('patient', 'x'))).toBe('400 request.invalid');
      expect(refusalOf(await api.request.get(`/api/chains/${rx.id}/head`))).toBe('401 access.unauthenticated');
      expect((await signedHead('patient', rx.id.toUpperCase())).chain).toBe(rx.id);
    });

    it('are not opened by a nomination, a report or a break-glass', async () => {
      const nominated = accepted(
        await api.as('prescriber').post('/api/prescriptions', newOrder(api, { nominatedPharmacy: api.orgs.pharmacy2 })),
      );
      const id: string = nominated.body.prescription.id;
      const order = { issuer: api.orgs.practice, number: nominated.body.prescription.number };
      accepted(await api.as('pharmacist2').post('/api/dispense-reports', report({ order })));
      accepted(
        await api.as('prescriber2').post(`/api/patients/${api.patients.patient}/break-glass`, { reason: 'urgent' }),
      );
      for (const who of ['pharmacist2', 'prescriber2']) {
        expect(refusalOf(await headOf(who, id))).toBe('404 ledger.chain-unknown');
      }
      expect(await listed('pharmacist2')).not.toContain(id);
    });

    it('lists: each has its own chains, and each that the receipts name', async () => {
      const mine = await claimed();
      const theirs = await claimed({ patient: api.patients.patient2 }, 'prescriber2', 'pharmacist2');
      const supply = accepted(
        await api.as('pharmacist').post('/api/dispense-reports', report({ patient: api.patients.patient })),
      );
      const receipts = [mine.issued, mine.claim, await mine.dispense(), supply].map(held);
      for (const [who, whose, without] of [
        ['patient', api.patients.patient, theirs.id],
        ['pharmacist', api.orgs.pharmacy, theirs.id],
        ['patient2', api.patients.patient2, mine.id],
        ['prescriber2', api.orgs.practice2, mine.id],
      ] as const) {
        const [list] = await signedLists(who, 5000);
        expect(list?.owner).toBe(whose);
        expect(list?.chains.map(({ chain }) => chain)).not.toContain(without);
      }
      const [patients = null] = await signedLists('patient', 5000);
      const [pharmacys = null] = await signedLists('pharmacist', 5000);
      const [practices = null] = await signedLists('prescriber', 5000);
      if (!patients || !pharmacys || !practices) throw new Error('no list');
      expect(patients.chains.map(({ chain }) => chain)).toContain(api.patients.patient);
      for (const receipt of receipts) {
        expect(compareWithList(receipt, patients)).toBe('agrees');
        expect(compareWithList(receipt, pharmacys)).toBe('agrees');
      }
      expect(receipts.map((receipt) => compareWithList(receipt, practices))).toEqual([
        'agrees',
        'agrees',
        'agrees',
        // The practice has no part in the supply.
        'unlisted',
      ]);
    });

    it('lists: a chain that may become somebody else’s is not on the list of whom a report named', async () => {
      const order = { issuer: api.orgs.practice, number: `EARLY-${randomUUID().slice(0, 8)}` };
      const early = accepted(
        await api.as('pharmacist').post('/api/dispense-reports', report({ order, patient: api.patients.patient })),
      );
      const id: string = early.body.id;
      for (const who of ['patient', 'pharmacist']) {
        expect(await listed(who)).not.toContain(id);
        expect(refusalOf(await headOf(who, id))).toBe('404 ledger.chain-unknown');
      }
      // The practice owns the number.
      expect(await listed('prescriber')).toContain(id);
      expect((await signedHead('prescriber', id)).seq).toBe(0);
    });

    it('receipts: who said something without a part in its chain has it again, nobody else', async () => {
      const order = { issuer: api.orgs.practice, number: `NONE-${randomUUID().slice(0, 8)}` };
      const rx = accepted(await api.as('prescriber').post('/api/prescriptions', newOrder(api))).body.prescription;
      const known = { issuer: api.orgs.practice, number: rx.number };
      const said: [string, string, Answer][] = [
        ['pharmacist2', 'pharmacist', await api.as('pharmacist2').post('/api/dispense-reports', report({ order }))],
        [
          'pharmacist2',
          'pharmacist',
          await api.as('pharmacist2').post('/api/dispense-reports', report({ order: known })),
        ],
        [
          'prescriber2',
          'pharmacist2',
          await api.as('prescriber2').post(`/api/patients/${api.patients.patient}/break-glass`, { reason: 'urgent' }),
        ],
        ['prescriber2', 'patient2', await api.as('prescriber2').post('/api/patients', somebody())],
        ['admin', 'prescriber', await api.as('admin').post('/api/patients', somebody())],
      ];
      for (const [author, other, answer] of said) {
        const { index, payload } = accepted(answer).body.receipt;
        const path = `/api/receipts/${index}`;
        expect(accepted(await api.as(author).get(path)).body).toMatchObject({ index, payload, v: 1 });
        expect(refusalOf(await api.as(other).get(path))).toBe('404 ledger.chain-unknown');
        if (author !== 'admin')
          expect(refusalOf(await headOf(author, held(answer).entry.chain))).toBe('404 ledger.chain-unknown');
      }
    });

    it('lists: pages cover all ids, whatever their length, and no other than this order is taken', async () => {
      const whole = await listed('patient');
      expect(whole.length).toBeGreaterThan(3);
      for (const limit of [1, 2, whole.length - 1, whole.length, whole.length + 1]) {
        const pages = await signedLists('patient', limit);
        expect(pages.flatMap(({ chains }) => chains.map(({ chain }) => chain))).toEqual(whole);
        expect(pages.at(-1)?.through).toBe(LAST_OF_ALL);
      }
      for (const query of ['limit=0', 'limit=5001', 'after=x', `after=${LAST_OF_ALL}`, 'page=2']) {
        expect(refusalOf(await api.as('patient').get(`/api/chains?${query}`))).toBe('400 request.invalid');
      }
      for (const who of ['auditor', 'admin']) {
        expect(refusalOf(await api.as(who).get('/api/chains'))).toBe('403 access.forbidden');
      }
    });

    it('lists: of one moment, also while entries are written', async () => {
      const { path, id } = await claimed();
      const dose = () =>
        api.as('patient').post(`${path}/doses`, {
          outcome: 'taken',
          at: new Date(api.clock.now() - 1000).toISOString(),
          doseId: randomUUID(),
        });
      const writing = Array.from({ length: 30 }, dose);
      const lists = await Promise.all(Array.from({ length: 30 }, () => signedLists('patient', 5000)));
      for (const answer of await Promise.all(writing)) accepted(answer);
      for (const { size, chains } of lists.flat()) {
        const [row] = await api.reader.db.query<{ n: number }>(
          'SELECT count(*) AS n FROM entry e JOIN chain c ON c.num = e.chain WHERE c.id = ? AND e.idx < ?',
          [id, size],
        );
        expect(chains.find(({ chain }) => chain === id)?.seq).toBe((row?.n ?? 0) - 1);
      }
    });

    it('reading them is no access to anybody’s data: nothing is recorded', async () => {
      const rx = await claimed();
      await signedHead('pharmacist', rx.id);
      await listed('pharmacist');
      const { body } = accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`));
      const actions: (string | null)[] = body.items.map(({ action }: { action: string | null }) => action);
      expect(actions.filter((action) => action?.startsWith('chain.'))).toEqual([]);
    });

    it('an erased chain is on no list, and its head is the auditor’s alone', async () => {
      const rx = await claimed();
      const last = held(await rx.dispense());
      const config = Config.parse({ ...env, LOG_LEVEL: 'silent' });
      const ledger = await openLedger(config, api.clock, CHAIN_MODELS);
      try {
        expect(await ledger.writer.erase(api.patients.patient, SYSTEM)).toMatchObject({ ok: true });
      } finally {
        await ledger.close();
      }
      for (const who of ['prescriber', 'pharmacist']) {
        expect(await listed(who)).not.toContain(rx.id);
        expect(refusalOf(await headOf(who, rx.id))).toBe('404 ledger.chain-unknown');
      }
      const head = await signedHead('auditor', rx.id);
      expect(head.seq).toBe(last.entry.seq + 1);
      expect(compareWithHead(last, head)).toBe('agrees');
    });
  });
});
