import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { newJwks, withKeyIds } from './client-keys.js';

const jwk = (key: KeyObject): Record<string, unknown> => ({ ...key.export({ format: 'jwk' }) });
const ed = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaOf = (modulusLength: number) => jwk(generateKeyPairSync('rsa', { modulusLength }).publicKey);

const RFC8037 = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
/** The Ed25519 point whose encoding begins with this byte, followed by zeros. */
const point = (first: number) => Buffer.from([first, ...new Uint8Array(31)]).toString('base64url');

const takes = (...keys: unknown[]) => newJwks.safeParse({ keys }).success;

describe('keys that a machine may register', () => {
  it('are Ed25519, P-256, P-384 and RSA from 2048 bits; each gets a kid', async () => {
    const keys = [ed, p256, p384, rsa].map(({ publicKey }) => jwk(publicKey));
    const stored = await withKeyIds(newJwks.parse({ keys }));
    expect(stored.keys).toEqual(keys.map((key) => ({ ...key, kid: expect.stringMatching(/^[\w-]{43}$/) as string })));
    expect(new Set(stored.keys.map(({ kid }) => kid)).size).toBe(4);
  });

  it('have the thumbprint of RFC 8037 appendix A.3 as kid, or one of their own', async () => {
    const key = { kty: 'OKP', crv: 'Ed25519', x: RFC8037 } as const;
    const { keys } = await withKeyIds({ keys: [key, { ...key, kid: 'mine' }] });
    expect(keys.map(({ kid }) => kid)).toEqual(['kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k', 'mine']);
  });

  it.each([
    ['RFC 8037', { kty: 'OKP', crv: 'Ed25519', x: RFC8037 }],
    [
      'RFC 7515',
      {
        kty: 'EC',
        crv: 'P-256',
        x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
        y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      },
    ],
    [
      'RFC 7517',
      {
        kty: 'EC',
        crv: 'P-256',
        x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
        y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
      },
    ],
  ])('are none whose private half %s prints, whatever they are named', (_, key) => {
    for (const named of [key, { ...key, kid: 'mine' }])
      expect(newJwks.safeParse({ keys: [named] }).error?.message).toContain('private half is published');
  });

  it('may say what they are for; what is not known is left out', () => {
    const key = { ...jwk(ed.publicKey), alg: 'EdDSA', use: 'sig', key_ops: ['verify'] };
    expect(newJwks.parse({ keys: [{ ...key, x5u: 'https://example.org', 'x-name': 'Ada' }] }).keys).toEqual([key]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['an Ed25519 private key', jwk(ed.privateKey)],
    ['a P-256 private key', jwk(p256.privateKey)],
    ['an RSA private key', jwk(rsa.privateKey)],
    ['one private member', { ...jwk(rsa.publicKey), qi: 'AQ' }],
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }],
    ['a symmetric member', { ...jwk(ed.publicKey), k: 'c2VjcmV0' }],
  ])('refuses %s, and repeats nothing of it', (_, key) => {
    const { error } = newJwks.safeParse({ keys: [key] });
    expect(error).toBeDefined();
    for (const name of ['d', 'k', 'p', 'qi'])
      if (typeof key[name] === 'string') expect(error?.message).not.toContain(key[name]);
  });

  it.each<[string, unknown]>([
    ['X25519', { ...jwk(ed.publicKey), crv: 'X25519' }],
    ['Ed448', jwk(generateKeyPairSync('ed448').publicKey)],
    ['secp256k1', jwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)],
    ['P-521', jwk(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey)],
    ['P-256 coordinates as P-384', { ...jwk(p256.publicKey), crv: 'P-384' }],
    ['a point that is not on its curve', { ...jwk(p256.publicKey), y: Buffer.alloc(32, 7).toString('base64url') }],
    ['an Ed25519 key of order one', { ...jwk(ed.publicKey), x: point(1) }],
    ['an Ed25519 key of order four', { ...jwk(ed.publicKey), x: point(0) }],
    ['31 bytes', { ...jwk(ed.publicKey), x: Buffer.alloc(31, 1).toString('base64url') }],
    ['another spelling of the same bytes', { ...jwk(ed.publicKey), x: `${String(jwk(ed.publicKey)['x'])}=` }],
    ['RSA of 1024 bits', rsaOf(1024)],
    ['RSA of 2040 bits', rsaOf(2040)],
    ['an exponent of 3', { ...jwk(rsa.publicKey), e: 'Aw' }],
    ['a modulus of 1 kB', { ...jwk(rsa.publicKey), n: Buffer.alloc(1000, 0xff).toString('base64url') }],
    ['a key for encryption', { ...jwk(rsa.publicKey), use: 'enc' }],
    ['a key that may not verify', { ...jwk(ed.publicKey), key_ops: ['sign'] }],
    ['an algorithm that is not its', { ...jwk(ed.publicKey), alg: 'ES256' }],
    ['RS256', { ...jwk(rsa.publicKey), alg: 'RS256' }],
    ['HS256', { ...jwk(rsa.publicKey), alg: 'HS256' }],
    ['an empty kid', { ...jwk(ed.publicKey), kid: '' }],
    ['no type', { crv: 'Ed25519' }],
    ['null', null],
    ['a PEM', ed.publicKey.export({ type: 'spki', format: 'pem' })],
  ])('refuses %s', (_, key) => {
    expect(takes(key)).toBe(false);
  });

  it('refuses none, eleven, a kid twice, and what is no JWK Set', () => {
    const key = jwk(ed.publicKey);
    expect(takes(...Array.from({ length: 10 }, (_, at) => ({ ...key, kid: String(at) })))).toBe(true);
    expect(takes(...Array.from({ length: 11 }, (_, at) => ({ ...key, kid: String(at) })))).toBe(false);
    expect(takes({ ...key, kid: 'a' }, { ...key, kid: 'a' })).toBe(false);
    expect(takes()).toBe(false);
    for (const body of [null, [], { jwks_uri: 'https://example.org' }, { keys: {} }, { keys: [key], more: 1 }])
      expect(newJwks.safeParse(body).success).toBe(false);
  });
});
