import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_IDS } from '../../src/http/openapi/demo-ids.js';
import { type Answer, type Api, startApi } from '../support/api.js';
import { type ApiDocument, type NamedOperation, operationsOf } from '../support/documented.js';
import { assertionOf, register } from '../support/machines.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { newSigner, statementIn } from '../support/signer.js';
import { until } from '../support/wait.js';

/**
 * Every write of the API's document, sent with the very example that it shows, in an order in which each works. The
 * service is as development mode starts it. What only an earlier answer knows (`paste-…`) is filled in here, and nothing else.
 */
describe('the examples of the API document', () => {
  let redis: TestRedis;
  let api: Api;
  let operations: NamedOperation[];
  const sent = new Set<string>();

  beforeAll(async () => {
    redis = await startRedis();
    api = await startApi({ REDIS_URL: redis.url });
    operations = operationsOf((await api.request.get('/api/openapi.json')).body as ApiDocument);
  });
  afterAll(async () => {
    await api.close();
    await redis.stop();
  });

  const operationOf = (name: string): NamedOperation => {
    const found = operations.find((one) => one.name === name);
    if (!found) throw new Error(`the document has no ${name}`);
    return found;
  };

  /**
   * @param name `POST /api/…`
   * @param ids of the path, by their names
   * @param pasted members of the example that are known only now
   */
  async function send(
    who: string | null,
    name: string,
    ids: Record<string, string> = {},
    pasted: Record<string, unknown> = {},
    key?: string,
  ): Promise<Answer> {
    const { path, operation } = operationOf(name);
    sent.add(name);
    const example = operation.requestBody?.content['application/json']?.example as Record<string, unknown> | undefined;
    for (const member of Object.keys(pasted)) expect(example).toHaveProperty(member);
    const body = example && { ...example, ...pasted };
    const address = path.replaceAll(/\{(\w+)\}/g, (_, id: string) => ids[id] ?? `no ${id}`);
    return who === null ? api.request.post(address).send(body) : api.as(who).post(address, body, key);
  }

  async function expectDone(...said: Parameters<typeof send>): Promise<Answer['body']> {
    const answer = await send(...said);
    expect({ name: said[1], status: answer.status, body: answer.body }).toMatchObject({
      name: said[1],
      status: expect.toSatisfy((status: number) => status === 200 || status === 201),
    });
    return answer.body;
  }

  it('sign people and machines in', async () => {
    await expectDone(null, 'POST /api/auth/sign-in', {}, { password: api.password });
    const machine = await register(api);
    await expectDone(null, 'POST /api/auth/token', {}, { client_assertion: await assertionOf(api, machine) });
  });

  it('enrol organisations, accounts and machines', async () => {
    await expectDone('admin', 'POST /api/organisations');
    const account = await expectDone('admin', 'POST /api/accounts');
    await expectDone('admin', 'POST /api/accounts/{id}/disable', { id: account.id });
    const client = await expectDone('admin', 'POST /api/clients');
    await expectDone('admin', 'POST /api/clients/{id}/keys', { id: client.id });
  });

  it('enrol, find, open, keep and erase a patient', async () => {
    const found = await expectDone('pharmacist', 'POST /api/patients/search');
    expect(found.patient.id).toBe(DEMO_IDS.patient);
    await expectDone('pharmacist', 'POST /api/patients/{id}/break-glass', { id: found.patient.id });
    const { patient } = await expectDone('prescriber', 'POST /api/patients');
    const { hold } = await expectDone('admin', 'POST /api/patients/{id}/holds', { id: patient.id });
    await expectDone('admin', 'POST /api/patients/{id}/holds/{hold}/release', { id: patient.id, hold: hold.id });
    await expectDone('admin', 'POST /api/patients/{id}/erase', { id: patient.id });
  });

  it('take a prescription through its life', async () => {
    const { prescription, token, receipt } = await expectDone('prescriber', 'POST /api/prescriptions');
    const { id } = prescription;
    const claim = async () =>
      (await expectDone('pharmacist', 'POST /api/prescriptions/{id}/claim', { id }, { token })).claim;
    await expectDone('pharmacist', 'POST /api/prescriptions/{id}/lookup', { id }, { token });
    await expectDone('pharmacist', 'POST /api/prescriptions/{id}/release', { id }, { secret: (await claim()).secret });
    const { secret } = await claim();
    const { dispenseId } = await expectDone('pharmacist', 'POST /api/prescriptions/{id}/dispenses', { id }, { secret });
    const { dose } = await expectDone('patient', 'POST /api/prescriptions/{id}/doses', { id });
    const ids = { id, doseId: dose.doseId };
    await expectDone('patient', 'POST /api/prescriptions/{id}/doses/{doseId}/correct', ids);
    await expectDone('pharmacist', 'POST /api/prescriptions/{id}/dispenses/{dispenseId}/reverse', { id, dispenseId });
    await expectDone('pharmacist', 'POST /api/prescriptions/{id}/not-dispensed', { id }, { secret });
    await expectDone('prescriber', 'POST /api/entries/{index}/disclosures', { index: String(receipt.index) });

    const reported = await expectDone('pharmacist', 'POST /api/dispense-reports');
    await expectDone('pharmacist', 'POST /api/supplies/{id}/match', { id: reported.id }, { prescription: id });
    const own = await expectDone('patient', 'POST /api/doses');
    const supplied = { id: own.supply.id, doseId: own.dose.doseId };
    await expectDone('patient', 'POST /api/supplies/{id}/doses/{doseId}/correct', supplied);
  });

  it('cancel a prescription', async () => {
    const { prescription } = await expectDone('prescriber', 'POST /api/prescriptions');
    await expectDone('prescriber', 'POST /api/prescriptions/{id}/cancel', { id: prescription.id });
    await expectDone('prescriber', 'POST /api/cancellations');
  });

  it('resolve a discrepancy', async () => {
    const { id } = await expectDone('pharmacist', 'POST /api/dispense-reports');
    const found = await until(
      async () => {
        const { body } = await api.as('pharmacist').get('/api/discrepancies?status=open');
        return (body.items as { id: string; about: string; patient: string }[]).find(({ about }) => about === id);
      },
      { what: 'the report of an unknown prescription is found' },
    );
    const ids = { id: found.id, patient: found.patient };
    await expectDone('pharmacist', 'POST /api/discrepancies/{patient}/{id}/resolve', ids);
  });

  it('enrol a key, which signs for itself, and revoke it', async () => {
    const signer = newSigner();
    const key = 'enrol-a-key';
    const asked = await api.as('pharmacist2').post('/api/actor-keys', { jwk: signer.jwk }, key);
    const statement = statementIn(asked);
    const signature = { jws: signer.sign(statement), occurredAt: statement.occurredAt };
    const { kid } = await expectDone('pharmacist2', 'POST /api/actor-keys', {}, { jwk: signer.jwk, signature }, key);
    await expectDone('admin', 'POST /api/actor-keys/{kid}/revoke', { kid });
  });

  it('are those of every write, but of a job that failed', () => {
    const posts = operations.flatMap(({ name }) => (name.startsWith('POST ') ? [name] : []));
    expect(posts.filter((name) => !sent.has(name))).toEqual(['POST /api/jobs/failed/{id}/retry']);
  });
});
