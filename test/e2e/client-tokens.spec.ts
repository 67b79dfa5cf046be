import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { publicJwk } from '../../src/cli/keys/client-token.js';
import { SKEW_SECONDS, TOKEN_PATH } from '../../src/identity/machines/client-assertion.js';
import { accepted, type Answer, type Api, refusalOf, startApi } from '../support/api.js';
import { askToken, assertionOf, register, sendForm, tokenForm, tokenOf } from '../support/machines.js';

let api: Api;
let endpoint = '';
beforeAll(async () => {
  api = await startApi();
  endpoint = api.address + TOKEN_PATH;
});
afterAll(() => api.close());

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

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

describe('an assertion', () => {
  it('is taken once', async () => {
    const assertion = await assertionOf(api, await register(api));
    expect((await askToken(api, assertion)).status).toBe(200);
    const again = await askToken(api, assertion);
    expectRefused(again);
    expect(again.body.error_description).toContain('used already');
  });

  it('is taken once, of many at the same moment too', async () => {
    const assertion = await assertionOf(api, await register(api));
    const answers = await Promise.all(Array.from({ length: 8 }, () => askToken(api, assertion)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(7);
  });

  it('is used by its client alone: the same jti of another client is another', async () => {
    const [one, two] = [await register(api), await register(api)];
    expect((await askToken(api, assertionOf(api, one, { jti: 'same' }))).status).toBe(200);
    expect((await askToken(api, assertionOf(api, two, { jti: 'same' }))).status).toBe(200);
    expectRefused(await askToken(api, assertionOf(api, one, { jti: 'same' })));
  });

  it('is remembered until nobody would take it any more, and then forgotten', async () => {
    const machine = await register(api);
    const count = async () => {
      const [row] = await api.db.query<{ n: number }>('SELECT count(*) AS n FROM used_assertion');
      return row?.n ?? 0;
    };
    const late = await assertionOf(api, machine);
    expect((await askToken(api, late)).status).toBe(200);
    expect(await count()).toBeGreaterThan(1);
    // It has ended, but a clock that is a little behind still takes it.
    api.clock.advance((60 + SKEW_SECONDS - 1) * 1000);
    await tokenOf(api, machine);
    expect((await askToken(api, late)).body.error_description).toContain('used already');
    api.clock.advance(15 * 60_000);
    await tokenOf(api, machine);
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
    const answer = await askToken(api, assertionOf(api, await register(api), claims(), header));
    expectRefused(answer);
    expect(answer.body.error_description).toMatch(new RegExp(`^${claim} `));
  });

  it('is refused alike, and without a reason, whatever it is that does not fit', async () => {
    const [one, two] = [await register(api), await register(api)];
    const jwk = await publicJwk(one.seed);
    const now = Math.floor(api.clock.now() / 1000);
    const claims = { iss: one.id, sub: one.id, aud: endpoint, jti: randomUUID(), exp: now + 60 };
    const hs256 = `${encode({ alg: 'HS256', kid: one.kid })}.${encode(claims)}`;
    const secret = Buffer.from(jwk.x ?? '', 'base64url');
    const ended = await register(api);
    accepted(await api.as('admin').post(`/api/accounts/${ended.id}/disable`));
    const person = (await api.as('admin').get('/api/self')).body.id as string;
    const answers = await Promise.all([
      askToken(api, assertionOf(api, { ...one, id: randomUUID() })),
      askToken(api, assertionOf(api, { ...one, id: person })),
      askToken(api, assertionOf(api, { ...one, seed: two.seed })),
      askToken(api, assertionOf(api, { ...one, seed: two.seed, kid: two.kid })),
      askToken(api, assertionOf(api, { ...one, kid: two.kid })),
      askToken(api, assertionOf(api, one, { iss: two.id, sub: two.id })),
      askToken(api, assertionOf(api, one, { iss: 'x' })),
      askToken(api, assertionOf(api, ended)),
      askToken(api, `${encode({ alg: 'none' })}.${encode(claims)}.`),
      askToken(api, `${hs256}.${createHmac('sha256', secret).update(hs256).digest('base64url')}`),
      askToken(api, 'nonsense'),
      sendForm(
        api,
        tokenForm(await assertionOf(api, one), {
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
        }),
      ),
      sendForm(api, 'grant_type=client_credentials'),
    ]);
    for (const answer of answers) {
      expectRefused(answer);
      expect(answer.body).toEqual(answers[0]?.body);
    }
  });

  it('is not for whom the Host header names', async () => {
    const machine = await register(api);
    const assertion = await assertionOf(api, machine, { aud: 'http://rx.example/api/auth/token' });
    const answer = await api.request
      .post(TOKEN_PATH)
      .set({ host: 'rx.example', 'x-forwarded-host': 'rx.example', 'x-forwarded-proto': 'http' })
      .type('form')
      .send(tokenForm(assertion));
    expectRefused(answer);
    expect(answer.body.error_description).toMatch(/^aud /);
  });
});

describe('requests for a token', () => {
  it('in JSON as well', async () => {
    const body = JSON.stringify(
      Object.fromEntries(new URLSearchParams(tokenForm(await assertionOf(api, await register(api))))),
    );
    expect((await sendForm(api, body, 'application/json')).status).toBe(200);
  });

  it('may name itself, but nobody else', async () => {
    const machine = await register(api);
    const other = await register(api);
    expect((await sendForm(api, tokenForm(await assertionOf(api, machine), { client_id: machine.id }))).status).toBe(
      200,
    );
    expectRefused(await sendForm(api, tokenForm(await assertionOf(api, machine), { client_id: other.id })));
  });

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
      'an assertion beyond its bound',
      `grant_type=client_credentials&client_assertion=${'x'.repeat(3900)}`,
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
    expectError(await sendForm(api, body), 400, error, code);
  });

  it('refuses a form that is too large, and other bodies', async () => {
    expectError(await sendForm(api, `a=${'x'.repeat(16_384)}`), 413, 'invalid_request', 'request.too-large');
    expectError(await sendForm(api, 'a=b', 'text/plain'), 415, 'invalid_request', 'request.unsupported-media-type');
    expectError(await sendForm(api, '{', 'application/json'), 400, 'invalid_request', 'request.malformed-json');
    expectError(await sendForm(api, '[]', 'application/json'), 400, 'invalid_request', 'request.invalid');
  });

  it('takes forms nowhere else', async () => {
    const bearer = `Bearer ${await api.signIn('prescriber')}`;
    for (const path of ['/api/auth/sign-in', '/api/prescriptions', '/api/auth/token/', '/nowhere']) {
      const request = api.request.post(path).set('authorization', bearer).type('form');
      expect([path, refusalOf(await request.send('grant_type=client_credentials'))]).toEqual([
        path,
        path === '/nowhere' || path.endsWith('/') ? '404 request.not-found' : '415 request.unsupported-media-type',
      ]);
    }
  });

  it('are limited by address', async () => {
    const limited = await startApi({ SIGN_IN_PER_MINUTE: '3' });
    const codes = [];
    for (let i = 0; i < 4; i++) codes.push(refusalOf(await askToken(limited, 'a.b.c')));
    expect(codes).toEqual(['401', '401', '401', '429 request.rate-limited']);
    const { body, headers } = await askToken(limited, 'a.b.c');
    expect(body).not.toHaveProperty('error');
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    await limited.close();
  });
});
