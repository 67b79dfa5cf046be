import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAIN_MODELS } from '../../src/chain-models.js';
import { ChainHeadKey } from '../../src/log/chains/chain-head-key.js';
import { Config } from '../../src/config/config.js';
import { toBase64 } from '../../src/ledger/core/bytes.js';
import { compareWithHead } from '../../src/ledger/core/statements/compare-heads.js';
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
import { bothEngines } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';

const somebody = () => ({ name: 'Ada', identifiers: [{ system: 'urn:example:mrn', value: randomUUID() }] });

describe.each(await bothEngines())('on $engine', ({ missing, database }) => {
  describe.skipIf(missing)('chain heads', () => {
    const folder = temporaryFolder();
    let env: Record<string, string>;
    let api: Api;
    let key: VerifierKey;
    beforeAll(async () => {
      env = { DATA_DIR: folder.path, ...(await database()) };
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
      for (const who of ['patient2', 'prescriber2', 'pharmacist2'])
        expect((await signedHead(who, rx.id)).chain).toBe(rx.id);
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
    });

    it('a chain that may become somebody else’s is not opened to whom a report named', async () => {
      const order = { issuer: api.orgs.practice, number: `EARLY-${randomUUID().slice(0, 8)}` };
      const early = accepted(
        await api.as('pharmacist').post('/api/dispense-reports', report({ order, patient: api.patients.patient })),
      );
      const id: string = early.body.id;
      for (const who of ['patient', 'pharmacist']) {
        expect(refusalOf(await headOf(who, id))).toBe('404 ledger.chain-unknown');
      }
      // The practice owns the number.
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

    it('are of one moment, also while entries are written', async () => {
      const { path, id } = await claimed();
      const dose = () =>
        api.as('patient').post(`${path}/doses`, {
          outcome: 'taken',
          at: new Date(api.clock.now() - 1000).toISOString(),
          doseId: randomUUID(),
        });
      const writing = Array.from({ length: 30 }, dose);
      const heads = await Promise.all(Array.from({ length: 30 }, () => signedHead('patient', id)));
      for (const answer of await Promise.all(writing)) accepted(answer);
      for (const { size, seq } of heads) {
        const [row] = await api.db.query<{ n: number }>(
          'SELECT count(*) AS n FROM entry e JOIN chain c ON c.num = e.chain WHERE c.id = ? AND e.idx < ?',
          [id, size],
        );
        expect(seq).toBe((row?.n ?? 0) - 1);
      }
    });

    it('reading them is no access to anybody’s data: nothing is recorded', async () => {
      const rx = await claimed();
      await signedHead('pharmacist', rx.id);
      const { body } = accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`));
      const actions: (string | null)[] = body.items.map(({ action }: { action: string | null }) => action);
      expect(actions.filter((action) => action?.startsWith('chain.'))).toEqual([]);
    });

    it('of an erased chain are the auditor’s alone', async () => {
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
        expect(refusalOf(await headOf(who, rx.id))).toBe('404 ledger.chain-unknown');
      }
      const head = await signedHead('auditor', rx.id);
      expect(head.seq).toBe(last.entry.seq + 1);
      expect(compareWithHead(last, head)).toBe('agrees');
    });
  });
});
