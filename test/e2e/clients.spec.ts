import { createHmac, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientToken, makeAssertion, publicJwk } from '../../src/cli/client-token.js';
import { ASSERTION_TYPE, TOKEN_PATH } from '../../src/identity/client-assertion.js';
import { RECHECK_SECONDS } from '../../src/identity/tokens.js';
import { ed25519FromSeed } from '../../src/ledger/log-key.js';
import { accepted, type Answer, type Api, newOrder, refusalOf, startApi } from '../support/api.js';

const NAME = 'Follower of Quillfeather County';
const FORM = 'application/x-www-form-urlencoded';

let api: Api;
let endpoint = '';
beforeAll(async () => {
  api = await startApi();
  endpoint = api.address + TOKEN_PATH;
});
afterAll(() => api.close());

interface Machine {
  readonly id: string;
  readonly seed: Buffer;
  readonly kid: string;
}

async function register(over: object = {}): Promise<Machine> {
  const seed = randomBytes(32);
  const jwk = await publicJwk(seed);
  const body = { role: 'auditor', name: NAME, jwks: { keys: [jwk] }, ...over };
  const { id } = accepted(await api.as('admin').post('/api/clients', body)).body;
  return { id, seed, kid: jwk.kid ?? '' };
}

const assertionOf = ({ id, seed }: Machine, audience = endpoint) => makeAssertion(id, seed, audience, api.clock.now());

/** Signed by the machine's key, with claims and header as wanted. */
const signed = ({ id, seed, kid }: Machine, claims: object = {}, header: object = {}) => {
  const now = Math.floor(api.clock.now() / 1000);
  return new SignJWT({ iss: id, sub: id, aud: endpoint, jti: randomUUID(), exp: now + 60, ...claims })
    .setProtectedHeader({ alg: 'EdDSA', kid, ...header })
    .sign(ed25519FromSeed(seed).privateKey);
};

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

const form = (assertion: string, over: Record<string, string> = {}) =>
  new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION_TYPE,
    client_assertion: assertion,
    ...over,
  }).toString();

/** Sends these bytes to the token endpoint. */
const send = (body: string, type = FORM): Promise<Answer> =>
  api.request
    .post(TOKEN_PATH)
    .set('content-type', type)
    .serialize((text: unknown) => text as string)
    .send(body)
    .then((answer) => answer);

const ask = async (assertion: string | Promise<string>) => send(form(await assertion));

async function tokenOf(machine: Machine): Promise<string> {
  return accepted(await ask(assertionOf(machine))).body.access_token;
}

const get = (path: string, token: string) => api.request.get(path).auth(token, { type: 'bearer' });

/** What is refused: RFC 6749 section 5.2 and the problem's members in one. */
function expectError(answer: Answer, status: number, error: string, code: string): void {
  expect({ status: answer.status, type: answer.type, body: answer.body }).toMatchObject({
    status,
    type: 'application/json',
    body: { error, code, status, title: expect.any(String) },
  });
  expect(answer.headers['cache-control']).toBe('no-store');
}

const expectRefused = (answer: Answer) => expectError(answer, 401, 'invalid_client', 'identity.client-refused');

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
    for (let i = 0; i < 2; i++) await register();
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
    const machine = await tokenOf(await register());
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
    const machine = await register();
    const answer = await ask(assertionOf(machine));
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 200,
      body: { access_token: expect.any(String), token_type: 'Bearer', expires_in: 900 },
    });
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
    const self = await get('/api/self', answer.body.access_token);
    expect(self.body).toMatchObject({ id: machine.id, username: machine.id, name: NAME, role: 'auditor', org: null });
  });

  it('may do what its role may, and no more', async () => {
    const auditor = await tokenOf(await register());
    expect((await get('/api/organisations', auditor)).status).toBe(200);
    expect(refusalOf(await get('/api/prescriptions', auditor))).toBe('403 access.forbidden');

    const system = await tokenOf(await register({ role: 'prescriber', org: api.orgs.practice }));
    const issued = await api.request.post('/api/prescriptions').auth(system, { type: 'bearer' }).send(newOrder(api));
    expect(issued.status).toBe(201);
    const path = `/api/prescriptions/${issued.body.prescription.id}`;
    expect((await get(path, system)).status).toBe(200);
    expect((await api.as('prescriber').get(path)).status).toBe(200);
    const other = await tokenOf(await register({ role: 'prescriber', org: api.orgs.practice2 }));
    expect(refusalOf(await get(path, other))).toBe('404 ledger.chain-unknown');
  });

  it('with the helper that followers use', async () => {
    const { id, seed } = await register();
    const token = new ClientToken(api.address, id, seed, api.clock);
    const [one, two] = await Promise.all([token.get(), token.get()]);
    expect(two).toBe(one);
    expect((await get('/api/self', one)).status).toBe(200);
    const foreign = new ClientToken(api.address, id, randomBytes(32), api.clock);
    await expect(foreign.get()).rejects.toThrow('no access token: invalid_client');
  });

  it('in JSON as well', async () => {
    const body = JSON.stringify(Object.fromEntries(new URLSearchParams(form(await assertionOf(await register())))));
    expect((await send(body, 'application/json')).status).toBe(200);
  });

  it('may name itself, but nobody else', async () => {
    const machine = await register();
    const other = await register();
    expect((await send(form(await assertionOf(machine), { client_id: machine.id }))).status).toBe(200);
    expectRefused(await send(form(await assertionOf(machine), { client_id: other.id })));
  });

  it('has no password to sign in with', async () => {
    const { id } = await register();
    for (const password of ['', 'null', id]) {
      const answer = await api.request.post('/api/auth/sign-in').send({ username: id, password });
      expect(refusalOf(answer)).toBe('401 identity.sign-in-refused');
    }
  });
});

describe('an assertion', () => {
  it('is taken once', async () => {
    const assertion = await assertionOf(await register());
    expect((await ask(assertion)).status).toBe(200);
    const again = await ask(assertion);
    expectRefused(again);
    expect(again.body.error_description).toContain('used already');
  });

  it('is taken once, of many at the same moment too', async () => {
    const assertion = await assertionOf(await register());
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(assertion)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(7);
  });

  it('is used by its client alone: the same jti of another client is another', async () => {
    const [one, two] = [await register(), await register()];
    expect((await ask(signed(one, { jti: 'same' }))).status).toBe(200);
    expect((await ask(signed(two, { jti: 'same' }))).status).toBe(200);
    expectRefused(await ask(signed(one, { jti: 'same' })));
  });

  it('is remembered until nobody would take it any more, and then forgotten', async () => {
    const machine = await register();
    const count = async () => {
      const [row] = await api.reader.db.query<{ n: number }>('SELECT count(*) AS n FROM used_assertion');
      return row?.n ?? 0;
    };
    await tokenOf(machine);
    expect(await count()).toBeGreaterThan(1);
    api.clock.advance(15 * 60_000);
    await tokenOf(machine);
    expect(await count()).toBe(1);
  });

  it.each<[string, string, () => object, object?]>([
    ['for another server', 'aud', () => ({ aud: 'https://other.example/api/auth/token' })],
    ['for us and another server', 'aud', () => ({ aud: [endpoint, 'https://other.example'] })],
    ['that has ended', 'exp', () => ({ exp: 1 })],
    ['that never ends', 'exp', () => ({ exp: 99_999_999_999 })],
    ['without an end', 'exp', () => ({ exp: undefined })],
    ['without a jti', 'jti', () => ({ jti: undefined })],
    ['of another subject', 'sub', () => ({ sub: randomUUID() })],
    ['that begins later', 'nbf', () => ({ nbf: 99_999_999_999 })],
    ['that is an access token', 'typ', () => ({}), { typ: 'at+jwt' }],
  ])('is refused with the reason, being the own: one %s', async (_, claim, claims, header) => {
    const answer = await ask(signed(await register(), claims(), header));
    expectRefused(answer);
    expect(answer.body.error_description).toMatch(new RegExp(`^${claim} `));
  });

  it('is refused alike, and without a reason, whatever it is that does not fit', async () => {
    const [one, two] = [await register(), await register()];
    const jwk = await publicJwk(one.seed);
    const now = Math.floor(api.clock.now() / 1000);
    const claims = { iss: one.id, sub: one.id, aud: endpoint, jti: randomUUID(), exp: now + 60 };
    const hs256 = `${encode({ alg: 'HS256', kid: one.kid })}.${encode(claims)}`;
    const secret = Buffer.from(jwk.x ?? '', 'base64url');
    const ended = await register();
    accepted(await api.as('admin').post(`/api/accounts/${ended.id}/disable`));
    const person = (await api.as('admin').get('/api/self')).body.id as string;
    const answers = await Promise.all([
      ask(signed({ ...one, id: randomUUID() })),
      ask(signed({ ...one, id: person })),
      ask(signed({ ...one, seed: two.seed })),
      ask(signed({ ...one, seed: two.seed, kid: two.kid })),
      ask(signed({ ...one, kid: two.kid })),
      ask(signed(one, { iss: two.id, sub: two.id })),
      ask(signed(one, { iss: 'x' })),
      ask(assertionOf(ended)),
      ask(`${encode({ alg: 'none' })}.${encode(claims)}.`),
      ask(`${hs256}.${createHmac('sha256', secret).update(hs256).digest('base64url')}`),
      ask('nonsense'),
      send(
        form(await assertionOf(one), {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
        }),
      ),
      send('grant_type=client_credentials'),
    ]);
    for (const answer of answers) {
      expectRefused(answer);
      expect(answer.body).toEqual(answers[0]?.body);
    }
  });

  it('is not for whom the Host header names', async () => {
    const machine = await register();
    const assertion = await assertionOf(machine, 'http://rx.example/api/auth/token');
    const answer = await api.request
      .post(TOKEN_PATH)
      .set({ host: 'rx.example', 'x-forwarded-host': 'rx.example', 'x-forwarded-proto': 'http' })
      .type('form')
      .send(form(assertion));
    expectRefused(answer);
    expect(answer.body.error_description).toMatch(/^aud /);
  });
});

describe('requests for a token', () => {
  it.each<[string, string, string, string]>([
    ['no grant type', 'a=b', 'invalid_request', 'request.invalid'],
    ['nothing', '', 'invalid_request', 'request.invalid'],
    ['an empty grant type', 'grant_type=', 'invalid_request', 'request.invalid'],
    [
      'another grant type',
      'grant_type=password&username=a&password=b',
      'unsupported_grant_type',
      'identity.grant-unsupported',
    ],
    ['a scope', 'grant_type=client_credentials&scope=system/*.rs', 'invalid_scope', 'identity.scope-unknown'],
    [
      'a parameter twice',
      'grant_type=client_credentials&grant_type=client_credentials',
      'invalid_request',
      'request.duplicate-key',
    ],
    [
      'an assertion of 9 kB',
      `grant_type=client_credentials&client_assertion=${'x'.repeat(9000)}`,
      'invalid_request',
      'request.invalid',
    ],
    [
      'JSON that calls itself a form',
      '{"grant_type":"client_credentials"}',
      'invalid_request',
      'request.malformed-form',
    ],
    ['percent signs that spell nothing', 'grant_type=%ff', 'invalid_request', 'request.malformed-form'],
    ['NUL', 'grant_type=%00', 'invalid_request', 'request.forbidden-character'],
    ['__proto__', '__proto__=x', 'invalid_request', 'request.forbidden-key'],
    ['a list in brackets', 'grant_type[]=client_credentials', 'invalid_request', 'request.invalid'],
  ])('refuses %s', async (_, body, error, code) => {
    expectError(await send(body), 400, error, code);
  });

  it('refuses a form that is too large, and other bodies', async () => {
    expectError(await send(`a=${'x'.repeat(16_384)}`), 413, 'invalid_request', 'request.too-large');
    expectError(await send('a=b', 'text/plain'), 415, 'invalid_request', 'request.unsupported-media-type');
    expectError(await send('{', 'application/json'), 400, 'invalid_request', 'request.malformed-json');
    expectError(await send('[]', 'application/json'), 400, 'invalid_request', 'request.invalid');
  });

  it('takes forms nowhere else', async () => {
    for (const path of ['/api/auth/sign-in', '/api/prescriptions', '/api/auth/token/', '/nowhere']) {
      const answer = await api.request.post(path).type('form').send('grant_type=client_credentials');
      expect([path, refusalOf(answer)]).toEqual([
        path,
        path === '/nowhere' || path.endsWith('/')
          ? expect.stringMatching(/^(404|415) /)
          : '415 request.unsupported-media-type',
      ]);
    }
  });
});

describe('the life of a machine', () => {
  it('signs in with its new keys only, once they are replaced', async () => {
    const before = await register();
    const token = await tokenOf(before);
    const seed = randomBytes(32);
    const jwk = await publicJwk(seed);
    const path = `/api/clients/${before.id}/keys`;
    const replaced = await api.as('admin').post(path, { keys: [jwk] }, 'replace');
    expect(replaced.body).toMatchObject({ id: before.id, jwks: { keys: [jwk] } });
    expect((await api.as('admin').post(path, { keys: [jwk] }, 'replace')).body).toEqual(replaced.body);
    expectRefused(await ask(assertionOf(before)));
    expect((await ask(assertionOf({ ...before, seed }))).status).toBe(200);
    expect((await get('/api/self', token)).status).toBe(200);

    const both = { keys: [jwk, await publicJwk(before.seed)] };
    accepted(await api.as('admin').post(path, both));
    for (const key of [seed, before.seed]) expect((await ask(assertionOf({ ...before, seed: key }))).status).toBe(200);
    expect(refusalOf(await api.as('admin').post(path, { keys: [] }))).toBe('400 request.invalid');
    for (const id of [randomUUID(), (await api.as('admin').get('/api/self')).body.id as string])
      expect(refusalOf(await api.as('admin').post(`/api/clients/${id}/keys`, both))).toBe(
        '404 identity.client-unknown',
      );
  });

  it('ends like every account: no token more, and those it has stop', async () => {
    const machine = await register();
    const token = await tokenOf(machine);
    expect((await get('/api/self', token)).status).toBe(200);
    accepted(await api.as('admin').post(`/api/accounts/${machine.id}/disable`));
    expect((await get('/api/self', token)).status).toBe(401);
    expectRefused(await ask(assertionOf(machine)));
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
