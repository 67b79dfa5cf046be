import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { commit, parsePayload } from '../../src/ledger/core/record/commitment.js';
import { decodeEntry } from '../../src/ledger/core/record/entry.js';
import type { Statement } from '../../src/ledger/core/record/statement.js';
import type { FetchFile } from '../../src/ledger/core/tlog/log-client.js';
import { parseVerifierKey } from '../../src/ledger/core/tlog/note.js';
import { logOnly } from '../../src/ledger/core/tlog/policy.js';
import { Follower, type Poll } from '../../src/audit/follow/follower.js';
import { httpFiles } from '../../src/audit/follow/source.js';
import { nodeHasher } from '../../src/ledger/crypto/node-hasher.js';
import { temporaryFolder } from '../support/ledger.js';
import {
  accepted,
  type Api,
  claim,
  issue,
  LISINOPRIL,
  newOrder,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';
import { enrol, newSigner, postSigned, type Signer, statementIn } from '../support/signer.js';
import { until } from '../support/wait.js';

let api: Api;
const doctor = newSigner('P-256');
const pharmacist = newSigner('Ed25519');
beforeAll(async () => {
  api = await startApi();
});
afterAll(async () => {
  await api.close();
});

const payloadOf = (receipt: { payload: string }): Record<string, unknown> =>
  parsePayload(Buffer.from(receipt.payload, 'base64').toString());
/** What an issued order has that the service makes up. */
const order = ({ chain, data }: Statement): object => ({
  id: chain,
  number: data['number'],
  writtenOn: data['writtenOn'],
});
const claimId = ({ data }: Statement): object => ({ claimId: data['claimId'] });
const dispensed = ({ data: { dispenseId, whenHandedOver } }: Statement): object => ({ dispenseId, whenHandedOver });
const signed = (statement: Statement, signer: Signer): object => ({
  signature: { jws: signer.sign(statement), occurredAt: statement.occurredAt },
});

describe('enrolling a key', () => {
  it('is refused without proof of possession, and what the key is to sign is said', async () => {
    const answer = await api.as('prescriber').post('/api/actor-keys', { jwk: doctor.jwk }, 'first');
    expect(refusalOf(answer)).toBe('422 signature.required');
    const statement = statementIn(answer);
    expect(statement).toEqual({
      log: api.reader.origin,
      chain: '00000000-0000-0000-0000-000000000000',
      type: 'actor-key.enrolled/1',
      actor: { id: expect.any(String), org: null, role: 'prescriber' },
      occurredAt: new Date(api.clock.now()).toISOString(),
      commandId: 'first',
      data: { account: statement.actor.id, jwk: doctor.jwk, kid: doctor.kid },
    });
    const body = { jwk: doctor.jwk, ...signed(statement, pharmacist) };
    expect(refusalOf(await api.as('prescriber').post('/api/actor-keys', body, 'first'))).toBe(
      '403 signature.key-unknown',
    );
    expect(refusalOf(await api.as('prescriber').post('/api/actor-keys', { jwk: doctor.jwk }))).toBe(
      '422 signature.command-id-missing',
    );
  });

  it.each(['patient', 'auditor', 'admin'])('is not for %s', async (username) => {
    expect(refusalOf(await api.as(username).post('/api/actor-keys', { jwk: doctor.jwk }, 'k'))).toBe(
      '403 access.forbidden',
    );
  });

  it('takes no private key, no key of another curve and none that everybody has', async () => {
    for (const jwk of [
      { ...pharmacist.jwk, d: pharmacist.jwk.x },
      { ...pharmacist.jwk, kid: 'k' },
      { ...doctor.jwk, crv: 'P-384' },
      { ...doctor.jwk, x: pharmacist.jwk.x },
      // RFC 8037 prints its private half.
      { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      // A key of small order: a signature under it holds for any text.
      { ...pharmacist.jwk, x: Buffer.concat([Buffer.of(1), Buffer.alloc(31)]).toString('base64url') },
    ]) {
      expect(refusalOf(await api.as('prescriber').post('/api/actor-keys', { jwk }, 'k'))).toBe('400 request.invalid');
    }
  });

  it('stands on the log chain for everybody, with nothing personal', async () => {
    const { body } = accepted(await enrol(api.as('prescriber'), doctor));
    expect(body).toMatchObject({ kid: doctor.kid, receipt: { log: api.reader.origin } });
    accepted(await enrol(api.as('pharmacist'), pharmacist));
    let items: { index: number; entry: string; salt: string; payload: string }[] = [];
    await until(async () => {
      ({ items } = (await api.request.get('/log/chain').expect(200)).body);
      return items.length === 2;
    });
    for (const { entry, salt, payload } of items) {
      const { commitment } = commit(nodeHasher, Buffer.from(salt, 'base64'), payloadOf({ payload }));
      expect(Buffer.from(commitment).equals(decodeEntry(Buffer.from(entry, 'base64')).commitment)).toBe(true);
    }
    const [first] = items as [(typeof items)[0]];
    expect(first.index).toBe(body.receipt.index);
    expect(payloadOf(first)).toMatchObject({
      actor: { id: body.account, org: null, role: 'prescriber' },
      data: { account: body.account, jwk: doctor.jwk },
      signature: { jws: expect.stringMatching(/^[\w-]+\.\.[\w-]+$/) },
    });
    await api.request.get(`/log/proof/${first.index}`).expect(200);
    const rest = await api.request.get(`/log/chain?after=${first.index}&limit=1`).expect(200);
    expect(rest.body).toEqual({ items: [items[1]], next: String(items[1]!.index) });
    const read = accepted(await api.as('patient').get(`/api/receipts/${first.index}`));
    expect(read.body.payload).toBe(first.payload);
  });

  it('is refused for a key that anybody has enrolled, and lists what one has', async () => {
    expect(refusalOf(await api.as('pharmacist2').post('/api/actor-keys', { jwk: doctor.jwk }, 'theft'))).toBe(
      '409 actor-key.taken',
    );
    expect((await api.as('prescriber').get('/api/actor-keys')).body).toEqual({
      items: [{ kid: doctor.kid, jwk: doctor.jwk }],
      next: null,
    });
    const mine = (await api.as('prescriber').get('/api/self')).body.id as string;
    const { body } = await api.as('admin').get(`/api/actor-keys?account=${mine}`);
    expect(body).toEqual({ items: [{ kid: doctor.kid, jwk: doctor.jwk }], next: null });
    expect((await api.as('admin').get('/api/actor-keys')).body).toEqual({ items: [], next: null });
    expect(refusalOf(await api.as('pharmacist').get(`/api/actor-keys?account=${mine}`))).toBe('403 access.forbidden');
  });
});

describe('an actor who signs', () => {
  it('lives a whole prescription, every step signed, also by the other algorithm', async () => {
    const rx = accepted(
      await postSigned(api.as('prescriber'), doctor, '/api/prescriptions', newOrder(api), 'life', order),
    ).body;
    expect(payloadOf(rx.receipt)).toMatchObject({ signature: { commandId: 'life' }, type: 'order.issued/1' });
    const path = `/api/prescriptions/${rx.prescription.id}`;
    const step = (at: string, body: object, key: string, proposed?: (s: Statement) => object) =>
      postSigned(api.as('pharmacist'), pharmacist, `${path}/${at}`, body, key, proposed);

    const first = accepted(await step('claim', { token: rx.token }, 'c1', claimId)).body.claim;
    accepted(await step('release', { secret: first.secret, reason: 'out-of-stock' }, 'r1'));
    const { secret } = accepted(await step('claim', { token: rx.token }, 'c2', claimId)).body.claim;
    const part = { secret, quantity: tablets('10'), daysSupply: 10 };
    const { dispenseId } = accepted(await step('dispenses', part, 'd1', dispensed)).body;
    accepted(await step(`dispenses/${dispenseId}/reverse`, { reason: 'wrong-entry' }, 'v1'));
    const closed = accepted(await step('not-dispensed', { secret, reason: 'not-collected' }, 'n1')).body;
    expect(payloadOf(closed.receipt)).toMatchObject({ signature: { commandId: 'n1' } });

    const doctorSends = (at: string, body: object, key: string, proposed?: (s: Statement) => object) =>
      postSigned(api.as('prescriber'), doctor, at, body, key, proposed);
    const other = accepted(await doctorSends('/api/prescriptions', newOrder(api), 'other', order)).body;
    const at = `/api/prescriptions/${other.prescription.id}`;
    const pharmacySends = (to: string, body: object, key: string) =>
      postSigned(api.as('pharmacist'), pharmacist, `${at}/${to}`, body, key, to === 'claim' ? claimId : undefined);
    const held = accepted(await pharmacySends('claim', { token: other.token }, 'c3')).body.claim;
    const cancel = accepted(await doctorSends(`${at}/cancel`, { reason: 'duplicate' }, 'x1')).body;
    expect(cancel.prescription.status).toBe('active');
    // With it the cancel that waited is applied: a consequence, which nobody signs.
    const released = accepted(await pharmacySends('release', { secret: held.secret, reason: 'other' }, 'r3')).body;
    expect(released.prescription.status).toBe('cancelled');
    expect(released.receipts.map((one: { payload: string }) => 'signature' in payloadOf(one))).toEqual([true, false]);
    const report = {
      medication: LISINOPRIL,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: new Date(api.clock.now() - 3_600_000).toISOString(),
      reason: 'outage',
    };
    const reported = await postSigned(
      api.as('pharmacist'),
      pharmacist,
      '/api/dispense-reports',
      report,
      'p1',
      ({ chain, data }) => ({ id: chain, dispenseId: data['dispenseId'] }),
    );
    expect(accepted(reported).body.supply).toBeDefined();
    const early = { number: 'EARLY-1', reason: 'duplicate' };
    const { id } = accepted(await doctorSends('/api/cancellations', early, 'e1', ({ chain }) => ({ id: chain }))).body
      .prescription;
    const arrived = await doctorSends('/api/prescriptions', newOrder(api, { number: 'EARLY-1' }), 'e2', order);
    expect(accepted(arrived).body.prescription).toMatchObject({ id, status: 'cancelled' });
    const { ok, findings, signatures } = await api.verify();
    expect({ ok, findings }).toEqual({ ok: true, findings: [] });
    expect(signatures).toBe(16);
  });

  it('is refused what is not signed, and gets the statement of it', async () => {
    const answer = await api.as('prescriber').post('/api/prescriptions', newOrder(api, { number: 'N-1' }), 'unsigned');
    expect(refusalOf(answer)).toBe('422 signature.required');
    expect(statementIn(answer)).toMatchObject({ type: 'order.issued/1', data: { number: 'N-1' } });
    expect(refusalOf(await api.as('prescriber').post('/api/prescriptions', newOrder(api)))).toBe(
      '422 signature.command-id-missing',
    );
    // Who does not sign goes on as before, and what nobody signs is not asked for.
    await issue(api, {}, 'prescriber2');
    const emergency = `/api/patients/${api.patients.patient2}/break-glass`;
    accepted(await api.as('prescriber').post(emergency, { reason: 'unconscious in the emergency room' }));
  });

  it('leaves a trace where a statement tells that there is such an order', async () => {
    const rx = await issue(api, {}, 'prescriber2');
    const body = {
      order: { issuer: api.orgs.practice2, number: rx.number },
      medication: LISINOPRIL,
      quantity: tablets('30'),
      daysSupply: 30,
      whenHandedOver: new Date(api.clock.now() - 3_600_000).toISOString(),
      reason: 'outage',
    };
    const asked = await api.as('pharmacist').post('/api/dispense-reports', body, 'asked');
    expect(refusalOf(asked)).toBe('422 signature.required');
    expect(statementIn(asked)).toMatchObject({ chain: rx.id });
    const { body: said } = accepted(await api.as('patient').get(`/api/patients/${api.patients.patient}/accesses`));
    expect(said.items).toContainEqual(expect.objectContaining({ action: 'dispense.report', chains: [rx.id] }));

    // A signature of something else is refused with the statement, too.
    const other = await issue(api, { patient: api.patients.patient2 }, 'prescriber2');
    const naming = { ...body, order: { issuer: api.orgs.practice2, number: other.number } };
    const jws = pharmacist.sign({ ...statementIn(asked), commandId: 'asked-too' });
    const wrong = { ...naming, signature: { jws, occurredAt: body.whenHandedOver } };
    const refused = await api.as('pharmacist').post('/api/dispense-reports', wrong, 'asked-too');
    expect(refusalOf(refused)).toBe('422 signature.wrong');
    expect(refused.body.statement.chain).toBe(other.id);
    const seen = accepted(await api.as('patient2').get(`/api/patients/${api.patients.patient2}/accesses`)).body;
    expect(seen.items).toContainEqual(expect.objectContaining({ action: 'dispense.report', chains: [other.id] }));
  });

  it('may send the request again, signed anew, and gets the same answer', async () => {
    const path = '/api/prescriptions';
    const statement = statementIn(await api.as('prescriber').post(path, newOrder(api), 'again'));
    const body = { ...newOrder(api), ...order(statement) };
    // Two signatures of ECDSA differ, whatever they sign.
    const requests = [1, 2].map(() => ({ ...body, ...signed(statement, doctor) }));
    expect(requests[0]).not.toEqual(requests[1]);
    const first = accepted(await api.as('prescriber').post(path, requests[0], 'again'));
    const again = accepted(await api.as('prescriber').post(path, requests[1], 'again'));
    expect(again.body.receipt.index).toBe(first.body.receipt.index);
    expect(again.body.prescription).toEqual(first.body.prescription);
  });

  it('cannot have a signature put under anything else', async () => {
    const path = '/api/prescriptions';
    const caller = api.as('prescriber');
    const statement = statementIn(await caller.post(path, newOrder(api), 'elsewhere'));
    const body = { ...newOrder(api), ...order(statement), ...signed(statement, doctor) };
    const refused = async (over: object, key = 'elsewhere'): Promise<string> =>
      refusalOf(await caller.post(path, { ...body, ...over }, key));
    expect(await refused({ id: randomUUID() })).toBe('422 signature.wrong');
    expect(await refused({ refills: 3 })).toBe('422 signature.wrong');
    expect(await refused({ number: 'N-2' })).toBe('422 signature.wrong');
    expect(await refused({}, 'another-command')).toBe('422 signature.wrong');
    const { occurredAt } = statement;
    const later = new Date(Date.parse(occurredAt) + 1000).toISOString();
    const { jws } = (body as unknown as { signature: { jws: string } }).signature;
    expect(await refused({ signature: { jws, occurredAt: later } })).toBe('422 signature.wrong');
    expect(await refused({ signature: { jws: jws.replace('..', '.e30.'), occurredAt } })).toBe(
      '422 signature.malformed',
    );
    for (const [instead, code] of [
      [{ ...statement, type: 'order.cancel-requested/1' }, '422 signature.wrong'],
      [{ ...statement, log: 'other.example/log' }, '422 signature.wrong'],
      [{ ...statement, actor: { ...statement.actor, role: 'pharmacist' } }, '422 signature.wrong'],
    ] as const)
      expect(await refused(signed(instead, doctor))).toBe(code);
    expect(await refused(signed(statement, pharmacist))).toBe('403 signature.key-unknown');
    expect(await refused(signed(statement, newSigner()))).toBe('403 signature.key-unknown');
    // The signature is good all the same: it holds for what it was made for, once.
    accepted(await caller.post(path, body, 'elsewhere'));
    expect(await refused({}, 'third-command')).toBe('409 prescription.number-taken');
  });

  it('signs for now, not for later', async () => {
    const path = '/api/prescriptions';
    const statement = statementIn(await api.as('prescriber').post(path, newOrder(api), 'late'));
    const body = { ...newOrder(api), ...order(statement), ...signed(statement, doctor) };
    api.clock.advance(5 * 60_000 + 1);
    const answer = await api.as('prescriber').post(path, body, 'late');
    expect(refusalOf(answer)).toBe('422 signature.not-now');
    expect(answer.body.now).toBe(new Date(api.clock.now()).toISOString());
  });

  it('may propose the id of the record, once', async () => {
    const { id } = await issue(api, {}, 'prescriber2');
    for (const username of ['prescriber', 'prescriber2']) {
      const taken = await api.as(username).post('/api/prescriptions', newOrder(api, { id }), `taken-${username}`);
      expect(refusalOf(taken)).toBe('409 ledger.chain-taken');
    }
    const cancellation = { number: 'UNHEARD-OF', reason: 'duplicate', id };
    expect(refusalOf(await api.as('prescriber2').post('/api/cancellations', cancellation))).toBe(
      '409 ledger.chain-taken',
    );
    const free = randomUUID();
    expect((await issue(api, { id: free }, 'prescriber2')).id).toBe(free);
    for (const nil of ['00000000-0000-0000-0000-000000000000', 'x']) {
      expect(refusalOf(await api.as('prescriber2').post('/api/prescriptions', newOrder(api, { id: nil })))).toBe(
        '400 request.invalid',
      );
    }
  });
});

describe('a further key and revocation', () => {
  const second = newSigner('Ed25519', 'Ed25519');

  it('needs a key in force and the new one', async () => {
    const caller = api.as('prescriber');
    const statement = statementIn(await caller.post('/api/actor-keys', { jwk: second.jwk }, 'further'));
    const send = async (jws: string, possession?: string): Promise<string> => {
      const signature = { jws, occurredAt: statement.occurredAt, ...(possession && { possession }) };
      return refusalOf(await caller.post('/api/actor-keys', { jwk: second.jwk, signature }, 'further'));
    };
    expect(await send(second.sign(statement))).toBe('403 signature.key-unknown');
    expect(await send(doctor.sign(statement))).toBe('422 signature.possession-missing');
    expect(await send(doctor.sign(statement), doctor.sign(statement))).toBe('422 signature.wrong');
    expect(await send(doctor.sign(statement), second.sign({ ...statement, commandId: 'x' }))).toBe(
      '422 signature.wrong',
    );
    expect(await send(doctor.sign(statement), second.sign(statement))).toBe('201');
  });

  it('a revoked key signs nothing more, and the others do', async () => {
    const caller = api.as('prescriber');
    const path = `/api/actor-keys/${doctor.kid}/revoke`;
    expect(refusalOf(await api.as('pharmacist').post(path, { reason: 'lost' }, 'not-mine'))).toBe(
      '404 actor-key.unknown',
    );
    // In flight: signed with the key that is revoked before it arrives.
    const statement = statementIn(await caller.post('/api/prescriptions', newOrder(api), 'in-flight'));
    const late = { ...newOrder(api), ...order(statement), ...signed(statement, doctor) };
    const { body } = accepted(await postSigned(caller, second, path, { reason: 'replaced' }, 'revoke'));
    expect(body).toMatchObject({ kid: doctor.kid, by: 'self' });
    expect(refusalOf(await caller.post('/api/prescriptions', late, 'in-flight'))).toBe('403 signature.key-revoked');
    expect(refusalOf(await caller.post('/api/actor-keys', { jwk: doctor.jwk }, 'back'))).toBe('409 actor-key.revoked');
    accepted(await postSigned(caller, second, '/api/prescriptions', newOrder(api), 'with-second', order));
    expect((await caller.get('/api/actor-keys')).body.items).toEqual([
      { kid: doctor.kid, jwk: null },
      { kid: second.kid, jwk: second.jwk },
    ]);
  });

  it('an administrator ends the last key, and the actor signs no more', async () => {
    const { body } = await api.as('admin').post(`/api/actor-keys/${second.kid}/revoke`, { reason: 'lost' });
    expect(body).toMatchObject({ kid: second.kid, by: 'administrator' });
    expect(payloadOf(body.receipt)).not.toHaveProperty('signature');
    await issue(api);
    const again = await api.as('admin').post(`/api/actor-keys/${second.kid}/revoke`, { reason: 'lost' });
    expect(refusalOf(again)).toBe('409 actor-key.revoked');
    const third = newSigner();
    accepted(await enrol(api.as('prescriber'), third));
    expect(refusalOf(await api.as('prescriber').post('/api/prescriptions', newOrder(api), 'now'))).toBe(
      '422 signature.required',
    );
    const { ok, findings } = await api.verify();
    expect({ ok, findings }).toEqual({ ok: true, findings: [] });
  });

  it('whatever comes with a revocation, before or behind it, the ledger verifies', async () => {
    const rx = await issue(api, {}, 'prescriber2');
    const caller = api.as('pharmacist');
    const statement = statementIn(await caller.post(`${rx.path}/claim`, { token: rx.token }, 'race'));
    const body = { token: rx.token, claimId: statement.data['claimId'], ...signed(statement, pharmacist) };
    const path = `/api/actor-keys/${pharmacist.kid}/revoke`;
    const revocation = {
      reason: 'compromised',
      ...signed(statementIn(await caller.post(path, { reason: 'compromised' }, 'end')), pharmacist),
    };
    const [used, ended, unsigned] = await Promise.all([
      caller.post(`${rx.path}/claim`, body, 'race'),
      caller.post(path, revocation, 'end'),
      caller.post(`${rx.path}/claim`, { token: rx.token }, 'race-unsigned'),
    ]);
    expect(ended.status).toBe(200);
    expect(['200', '403 signature.key-revoked', '409 prescription.already-claimed-by-you']).toContain(refusalOf(used));
    expect(['200', '422 signature.required', '409 prescription.already-claimed-by-you']).toContain(refusalOf(unsigned));
    const { ok, findings } = await api.verify();
    expect({ ok, findings }).toEqual({ ok: true, findings: [] });
    if (used.status !== 200 && unsigned.status !== 200) await claim(api, rx);
  });
});

describe('an auditor who follows the log', () => {
  it('sees that everybody is shown every key, and when one is kept back', async () => {
    const token = await api.signIn('auditor');
    const files = httpFiles(api.address, () => Promise.resolve(token));
    const policy = logOnly(parseVerifierKey(api.vkey));
    const look = async (fetch: FetchFile): Promise<Poll> => {
      const folder = temporaryFolder();
      const options = { policy, fetch, url: api.address, clock: api.clock };
      const follower = await Follower.open(folder.path, options);
      const poll = await follower.poll();
      await follower.close();
      folder.remove();
      return poll;
    };
    await until(async () => {
      const [head] = await api.db.query<{ size: number }>('SELECT size FROM log_head');
      return openCheckpoint((await api.request.get('/log/checkpoint')).text, api.vkey).size === head?.size;
    });
    const asked: string[] = [];
    const honest = await look((path) => {
      asked.push(path);
      return files(path);
    });
    expect(honest).toMatchObject({ ok: true });
    const { items } = (await api.request.get('/log/chain')).body as { items: { index: number }[] };
    expect(asked.filter((path) => path.startsWith('chain')).length).toBe(items.length);
    // The last revocation is passed over.
    const last = `chain?after=${items.at(-1)!.index - 1}&limit=1`;
    const kept = await look((path) => files(path === last ? `chain?after=${items.at(-1)!.index}&limit=1` : path));
    const alarm = { ok: false, alarm: 'files', what: `${last} is not there` };
    expect(kept).toMatchObject(alarm);
    expect(await look((path) => (path === last ? Promise.resolve(null) : files(path)))).toMatchObject(alarm);
  });
});
