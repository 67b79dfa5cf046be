import { ed25519 as ed25519Curve } from '@noble/curves/ed25519.js';
import * as fc from 'fast-check';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, it } from 'vitest';
import { newSigner } from '../../../../test/support/signer.js';
import { isPublicJwk, thumbprint } from './public-key.js';

/** RFC 8037 appendix A.2 and A.3. */
const RFC8037 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } as const;
const ed25519 = newSigner('Ed25519').jwk;
const p256 = newSigner('P-256').jwk;

/** A good key with a point of order two added. */
const mixed = (() => {
  const { Point } = ed25519Curve;
  const two = Point.fromBytes(Buffer.from(`ec${'ff'.repeat(30)}7f`, 'hex'), false);
  const sum = Point.fromBytes(Buffer.from(RFC8037.x, 'base64url'), false).add(two);
  return { ...RFC8037, x: Buffer.from(sum.toBytes()).toString('base64url') };
})();

describe('public keys of actors', () => {
  it('are named as RFC 8037 and jose name them', async () => {
    expect(thumbprint(RFC8037)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
    for (const jwk of [ed25519, p256]) expect(thumbprint(jwk)).toBe(await calculateJwkThumbprint(jwk));
  });

  const small = (...bytes: number[]) => ({
    ...RFC8037,
    x: Buffer.alloc(32).fill(Buffer.from(bytes), 0, bytes.length).toString('base64url'),
  });
  it.each([
    ['Ed25519', ed25519, true],
    ['P-256', p256, true],
    ['members in another order', { x: RFC8037.x, crv: 'Ed25519', kty: 'OKP' }, true],
    ['a private key', { ...RFC8037, d: RFC8037.x }, false],
    ['a name of its own', { ...RFC8037, kid: 'k' }, false],
    ['a missing member', { kty: 'OKP', crv: 'Ed25519' }, false],
    ['another type', { ...RFC8037, kty: 'EC' }, false],
    ['another curve', { ...RFC8037, crv: 'X25519' }, false],
    ['a point that is on no curve', { ...p256, x: RFC8037.x }, false],
    ['31 bytes', { ...RFC8037, x: RFC8037.x.slice(0, -2) }, false],
    ['padding', { ...RFC8037, x: `${RFC8037.x}=` }, false],
    ['stray bits', { ...RFC8037, x: `${RFC8037.x.slice(0, -1)}p` }, false],
    ['the alphabet of base64', { ...RFC8037, x: RFC8037.x.replace('_', '/') }, false],
    ['the neutral point', small(1), false],
    ['a point of order four', small(), false],
    ['a point with a part of small order', mixed, false],
    ['no object', 'kty', false],
    ['null', null, false],
    ['an array', [RFC8037], false],
  ])('%s', (_, value, expected) => {
    expect(isPublicJwk(value)).toBe(expected);
  });

  it('whatever JSON is asked about, it answers', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => !isPublicJwk(value)));
  });
});
