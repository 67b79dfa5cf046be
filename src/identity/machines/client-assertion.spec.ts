import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign as signBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { type AssertionFault, audiencesOf, checkAssertion, claimedClient } from './client-assertion.js';
import { type Jwks, newJwks, withKeyIds } from './client-keys.js';

const NOW = Date.parse('2026-03-10T12:00:00Z');
const seconds = NOW / 1000;
const CLIENT = '4c5d0f4e-5a7b-4b0e-9d0a-6a3d8f0c1a11';
const ENDPOINT = 'https://rx.example/api/auth/token';
const AUDIENCES = audiencesOf('https://rx.example', undefined);

const pairs = {
  EdDSA: generateKeyPairSync('ed25519'),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const stranger = generateKeyPairSync('ed25519');

/** As it is stored: parsed by the schema of registration. */
async function registered(...keys: KeyObject[]): Promise<Jwks> {
  return withKeyIds(newJwks.parse({ keys: await Promise.all(keys.map((key) => exportJWK(key))) }));
}
const one = await registered(pairs.EdDSA.publicKey);
const all = await registered(...Object.values(pairs).map(({ publicKey }) => publicKey));

const good = (): JWTPayload => ({
  iss: CLIENT,
  sub: CLIENT,
  aud: ENDPOINT,
  jti: 'one',
  iat: seconds,
  exp: seconds + 300,
});

const sign = (claims: JWTPayload, header: object = {}, key: KeyObject = pairs.EdDSA.privateKey) =>
  new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', ...header }).sign(key);

const check = (assertion: string, keys: Jwks = one, client = CLIENT) =>
  checkAssertion(assertion, { client, keys, audiences: AUDIENCES, now: NOW });

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

const hmacOf = (secret: Buffer | string, alg = 'HS256') => {
  const signed = `${base64url({ alg })}.${base64url(good())}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
};

describe('checkAssertion', () => {
  it('takes what a registered key has signed', async () => {
    expect(await check(await sign(good()))).toEqual({ jti: 'one', expiresAt: NOW + 300_000 });
  });

  it.each(['EdDSA', 'Ed25519', 'ES256', 'ES384', 'PS256', 'RS384'])('takes %s', async (alg) => {
    const pair = { Ed25519: pairs.EdDSA, RS384: pairs.PS256, ...pairs }[alg];
    expect(await check(await sign(good(), { alg }, pair?.privateKey), all)).toMatchObject({ jti: 'one' });
  });

  it.each<[string, Partial<Record<string, unknown>>, object]>([
    ['the issuer as audience', { aud: 'https://rx.example' }, {}],
    ['one audience in a list', { aud: [ENDPOINT] }, {}],
    ['no iat', { iat: undefined }, {}],
    ['an end within the skew', { exp: seconds - 29 }, {}],
    ['a life a little too long by its clock', { exp: seconds + 330, iat: seconds + 30 }, {}],
    ['a start within the skew', { nbf: seconds + 30 }, {}],
    ['typ JWT', {}, { typ: 'JWT' }],
    ['typ client-authentication+jwt', {}, { typ: 'client-authentication+jwt' }],
  ])('takes %s', async (_, claims, header) => {
    expect(await check(await sign({ ...good(), ...claims }, header))).toMatchObject({ jti: 'one' });
  });

  it.each<[string, AssertionFault, Partial<Record<string, unknown>>, object?]>([
    ['another audience', 'aud', { aud: 'https://other.example/api/auth/token' }],
    ['a longer address', 'aud', { aud: `${ENDPOINT}/` }],
    ['another audience beside ours', 'aud', { aud: [ENDPOINT, 'https://other.example'] }],
    ['no audience', 'aud', { aud: undefined }],
    ['an empty list of audiences', 'aud', { aud: [] }],
    ['another subject', 'sub', { sub: randomUUID() }],
    ['no subject', 'sub', { sub: undefined }],
    ['another issuer', 'iss', { iss: randomUUID() }],
    ['no end', 'exp', { exp: undefined }],
    ['an end that is over', 'exp', { exp: seconds - 30 }],
    ['an end too far ahead', 'exp', { exp: seconds + 331 }],
    ['an end beyond all', 'exp', { exp: 1e300 }],
    ['an end that is a text', 'exp', { exp: String(seconds + 60) }],
    ['a start ahead', 'nbf', { nbf: seconds + 31 }],
    ['made later than now', 'iat', { iat: seconds + 31 }],
    ['made at a text', 'iat', { iat: 'now' }],
    ['no jti', 'jti', { jti: undefined }],
    ['an empty jti', 'jti', { jti: '' }],
    ['a jti that is a number', 'jti', { jti: 1 }],
    ['a jti of 256 characters', 'jti', { jti: 'x'.repeat(256) }],
    ['an access token', 'typ', {}, { typ: 'at+jwt' }],
  ])('refuses, and may say so: %s', async (_, fault, claims, header) => {
    expect(await check(await sign({ ...good(), ...claims }, header))).toEqual({ fault });
  });

  const x = Buffer.from(one.keys[0]?.['x'] as string, 'base64url');
  const spki = pairs.PS256.publicKey.export({ type: 'spki', format: 'pem' });
  it.each<[string, () => string | Promise<string>]>([
    ['a key that is not registered', () => sign(good(), {}, stranger.privateKey)],
    [
      'a key that is not registered, under the kid of one that is',
      () => sign(good(), { kid: one.keys[0]?.kid }, stranger.privateKey),
    ],
    [
      'a key that it brings itself',
      async () => sign(good(), { jwk: await exportJWK(stranger.publicKey) }, stranger.privateKey),
    ],
    ['a kid of nobody', () => sign(good(), { kid: 'x' })],
    ['alg none', () => `${base64url({ alg: 'none' })}.${base64url(good())}.`],
    ['alg none in capitals', () => `${base64url({ alg: 'NONE' })}.${base64url(good())}.AA`],
    ['HS256 with the public key as its secret', () => hmacOf(x)],
    ['HS256 with the public key as PEM', () => hmacOf(spki)],
    ['an HMAC that calls itself EdDSA', () => hmacOf(x, 'EdDSA')],
    ['RS256, which is not allowed', () => sign(good(), { alg: 'RS256' }, pairs.PS256.privateKey)],
    [
      'ES256 by the Ed25519 key',
      async () => {
        const [, claims, signature] = (await sign(good())).split('.');
        return `${base64url({ alg: 'ES256' })}.${claims}.${signature}`;
      },
    ],
    [
      'claims changed',
      async () => {
        const [head, , signature] = (await sign(good())).split('.');
        return `${head}.${base64url({ ...good(), jti: 'two' })}.${signature}`;
      },
    ],
    [
      'a critical extension',
      () => {
        const signed = `${base64url({ alg: 'EdDSA', crit: ['x'], x: 1 })}.${base64url(good())}`;
        return `${signed}.${signBytes(null, Buffer.from(signed), pairs.EdDSA.privateKey).toString('base64url')}`;
      },
    ],
    ['an empty signature', async () => `${(await sign(good())).split('.').slice(0, 2).join('.')}.`],
    ['two parts', () => 'a.b'],
    ['five parts', () => 'a.b.c.d.e'],
    ['nothing', () => ''],
    ['claims that are a list', () => `${base64url({ alg: 'EdDSA' })}.${base64url([])}.AA`],
  ])('refuses, and says no more: %s', async (_, assertion) => {
    expect(await check(await assertion(), all)).toEqual({ fault: 'unproven' });
  });

  it('asks for a kid only where several keys could have signed', async () => {
    const two = await registered(pairs.EdDSA.publicKey, stranger.publicKey);
    expect(await check(await sign(good()), two)).toEqual({ fault: 'unproven' });
    for (const [at, { privateKey }] of [pairs.EdDSA, stranger].entries())
      expect(await check(await sign(good(), { kid: two.keys[at]?.kid }, privateKey), two)).toMatchObject({
        jti: 'one',
      });
  });

  it('never throws, and never takes a changed byte', async () => {
    const assertion = await sign(good());
    await fc.assert(
      fc.asyncProperty(fc.nat(assertion.length - 1), fc.string({ maxLength: 3, unit: 'binary' }), async (at, text) => {
        const changed = assertion.slice(0, at) + text + assertion.slice(at + 1);
        claimedClient(changed);
        if (changed !== assertion) expect(await check(changed)).toHaveProperty('fault');
      }),
    );
  });
});

describe('claimedClient', () => {
  it('reads whose assertion it is', async () => {
    expect(claimedClient(await sign(good()))).toBe(CLIENT);
  });

  it.each<[string, object]>([
    ['no issuer', {}],
    ['an issuer that is no id', { iss: "' OR 1=1" }],
    ['an issuer that is an object', { iss: { $ne: '' } }],
    ['an id in capitals', { iss: CLIENT.toUpperCase() }],
  ])('does without %s', (_, claims) => {
    expect(claimedClient(`${base64url({ alg: 'EdDSA' })}.${base64url(claims)}.AA`)).toBeNull();
  });
});

describe('audiencesOf', () => {
  it('is the public address alone where there is one, otherwise this machine at the port that was asked', () => {
    expect(AUDIENCES).toEqual(['https://rx.example', ENDPOINT]);
    expect(audiencesOf(undefined, 3000)).toContain('http://127.0.0.1:3000/api/auth/token');
    expect(
      audiencesOf(undefined, 3000).every((name) => /^http:\/\/(localhost|127\.0\.0\.1|\[::1\]):3000(\/|$)/.test(name)),
    ).toBe(true);
  });
});
