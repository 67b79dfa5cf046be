import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientToken, publicJwk } from '../../src/cli/keys/client-token.js';
import { RECHECK_SECONDS } from '../../src/identity/guard/tokens.js';
import { accepted, type Api, newOrder, refusalOf, startApi } from '../support/api.js';
import { askToken, assertionOf, register, tokenOf } from '../support/machines.js';

const REFUSED = { status: 401, error: 'invalid_client', code: 'identity.client-refused' };
const NAME = 'Follower of Quillfeather County';

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const get = (path: string, token: string) => api.request.get(path).auth(token, { type: 'bearer' });

describe('registering a machine', () => {
  it('answers with its id and public keys, and is told in the list', async () => {
    const jwk = await publicJwk(randomBytes(32));
    const body = { role: 'pharmacist', org: api.orgs.pharmacy, name: 'Till 4', jwks: { keys: [jwk] } };
    const answer = await api.as('admin').post('/api/clients', body, 'till-4');
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({ ...body, id: expect.any(String), disabled: false });
    expect((await api.as('admin').post('/api/clients', body, 'till-4')).body).toEqual(answer.body);
    expect(refusalOf(await api.as('admin').post('/api/clients', { ...body, name: 'Till 5' }, 'till-4'))).toBe(
      '422 idempotency.key-reused',
    );
    for (let i = 0; i < 2; i++) await register(api);
    const listed = [];
    for (let next: string | null = ''; next !== null;) {
      const page = accepted(await api.as('admin').get(`/api/clients?limit=2${next && `&after=${next}`}`));
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      listed.push(...page.body.items);
      next = page.body.next;
    }
    expect(listed).toContainEqual(answer.body);
    expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length);
  });

  it.each<[string, object, string]>([
    ['a patient', { role: 'patient' }, '400 request.invalid'],
    ['an administrator', { role: 'administrator' }, '400 request.invalid'],
    ['a practice that is a pharmacy', { role: 'prescriber', org: 'pharmacy' }, '422 identity.organisation-kind'],
    [
      'an organisation that is not there',
      { role: 'pharmacist', org: randomUUID() },
      '422 identity.organisation-unknown',
    ],
    ['an auditor of an organisation', { org: 'pharmacy' }, '400 request.invalid'],
    ['a password', { password: 'correct horse battery' }, '400 request.invalid'],
    ['no keys', { jwks: { keys: [] } }, '400 request.invalid'],
    ['an address of keys', { jwks_uri: 'https://example.org/jwks' }, '400 request.invalid'],
    ['a symmetric key', { jwks: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } }, '400 request.invalid'],
  ])('refuses %s', async (_, over, expected) => {
    const org = 'org' in over && over.org === 'pharmacy' ? { org: api.orgs.pharmacy } : {};
    const body = { role: 'auditor', name: NAME, jwks: { keys: [await publicJwk(randomBytes(32))] }, ...over, ...org };
    expect(refusalOf(await api.as('admin').post('/api/clients', body))).toBe(expected);
  });

  it('refuses a private key, and repeats nothing of it', async () => {
    const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    const body = { role: 'auditor', name: NAME, jwks: { keys: [jwk] } };
    const answer = await api.as('admin').post('/api/clients', body);
    expect(refusalOf(answer)).toBe('400 request.invalid');
    expect(answer.body.errors).toEqual([
      { path: 'jwks.keys.0.d', message: expect.stringContaining('private key') as string },
    ]);
    expect(JSON.stringify(answer.body)).not.toContain(jwk.d);
  });

  it('is for administrators', async () => {
    const machine = await tokenOf(api, await register(api));
    for (const path of ['/api/clients', `/api/clients/${randomUUID()}/keys`]) {
      expect(refusalOf(await api.as('prescriber').post(path, {}))).toBe('403 access.forbidden');
      expect(refusalOf(await api.request.post(path).send({}))).toBe('401 access.unauthenticated');
      expect(refusalOf(await api.request.post(path).auth(machine, { type: 'bearer' }).send({}))).toBe(
        '403 access.forbidden',
      );
    }
    expect(refusalOf(await api.as('auditor').get('/api/clients'))).toBe('403 access.forbidden');
  });
});

describe('a machine that signs in', () => {
  it('gets a token that says who it is', async () => {
    const machine = await register(api, { name: NAME });
    const answer = await askToken(api, assertionOf(api, machine));
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 200,
      body: { access_token: expect.any(String), token_type: 'Bearer', expires_in: 900 },
    });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
    const self = await get('/api/self', answer.body.access_token);
    expect(self.body).toMatchObject({ id: machine.id, username: machine.id, name: NAME, role: 'auditor', org: null });
  });

  it('may do what its role may, and no more', async () => {
    const auditor = await tokenOf(api, await register(api));
    expect((await get('/api/organisations', auditor)).status).toBe(200);
    expect(refusalOf(await get('/api/prescriptions', auditor))).toBe('403 access.forbidden');

    const system = await tokenOf(api, await register(api, { role: 'prescriber', org: api.orgs.practice }));
    const issued = await api.request.post('/api/prescriptions').auth(system, { type: 'bearer' }).send(newOrder(api));
    expect(issued.status).toBe(201);
    const path = `/api/prescriptions/${issued.body.prescription.id}`;
    expect((await get(path, system)).status).toBe(200);
    expect((await api.as('prescriber').get(path)).status).toBe(200);
    const other = await tokenOf(api, await register(api, { role: 'prescriber', org: api.orgs.practice2 }));
    expect(refusalOf(await get(path, other))).toBe('404 ledger.chain-unknown');
  });

  it('with the helper that followers use', async () => {
    const { id, seed } = await register(api);
    const token = new ClientToken(api.address, id, seed, api.clock);
    const [one, two] = await Promise.all([token.get(), token.get()]);
    expect(two).toBe(one);
    expect((await get('/api/self', one)).status).toBe(200);
    const foreign = new ClientToken(api.address, id, randomBytes(32), api.clock);
    await expect(foreign.get()).rejects.toThrow('no access token: invalid_client');
  });

  it('has no password to sign in with', async () => {
    const { id } = await register(api);
    for (const password of ['', 'null', id]) {
      const answer = await api.request.post('/api/auth/sign-in').send({ username: id, password });
      expect(refusalOf(answer)).toBe('401 identity.sign-in-refused');
    }
  });
});

describe('the life of a machine', () => {
  it('signs in with its new keys only, once they are replaced', async () => {
    const before = await register(api);
    const token = await tokenOf(api, before);
    const seed = randomBytes(32);
    const jwk = await publicJwk(seed);
    const path = `/api/clients/${before.id}/keys`;
    const replaced = await api.as('admin').post(path, { keys: [jwk] }, 'replace');
    expect(replaced.body).toMatchObject({ id: before.id, jwks: { keys: [jwk] } });
    expect((await api.as('admin').post(path, { keys: [jwk] }, 'replace')).body).toEqual(replaced.body);
    expect((await askToken(api, assertionOf(api, before))).body).toMatchObject(REFUSED);
    const after = { id: before.id, seed, kid: jwk.kid ?? '' };
    expect((await askToken(api, assertionOf(api, after))).status).toBe(200);
    expect((await get('/api/self', token)).status).toBe(200);

    const both = { keys: [jwk, await publicJwk(before.seed)] };
    accepted(await api.as('admin').post(path, both));
    for (const machine of [before, after]) expect((await askToken(api, assertionOf(api, machine))).status).toBe(200);
    expect(refusalOf(await api.as('admin').post(path, { keys: [] }))).toBe('400 request.invalid');
    for (const id of [randomUUID(), (await api.as('admin').get('/api/self')).body.id as string])
      expect(refusalOf(await api.as('admin').post(`/api/clients/${id}/keys`, both))).toBe(
        '404 identity.client-unknown',
      );
  });

  it('ends like every account: no token more, and those it has stop', async () => {
    const machine = await register(api);
    const token = await tokenOf(api, machine);
    expect((await get('/api/self', token)).status).toBe(200);
    accepted(await api.as('admin').post(`/api/accounts/${machine.id}/disable`));
    expect((await get('/api/self', token)).status).toBe(401);
    expect((await askToken(api, assertionOf(api, machine))).body).toMatchObject(REFUSED);
    api.clock.advance(RECHECK_SECONDS * 1000);
    expect((await get('/api/self', token)).status).toBe(401);
    const listed: { id: string; disabled: boolean }[] = (await api.as('admin').get('/api/clients?limit=200')).body
      .items;
    expect(listed).toContainEqual(expect.objectContaining({ id: machine.id, disabled: true }));
  });

  it('is verified with the ledger', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [] });
  });
});
