/** Public keys of machines in requests: JWK Sets (RFC 7517) with public signature keys only. */
import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { z } from 'zod';
import { EXAMPLE_KEY, isPublishedKey, PUBLISHED_KEY } from '../published-keys.js';
import { isEd25519Key } from '../../ledger/core/ed25519-key.js';

/**
 * Algorithms for signing assertions: those of OpenID and FAPI, and the two of SMART Backend Services (ES384, RS384).
 */
export const ASSERTION_ALGORITHMS = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'PS256', 'RS384'];

const MOST_KEYS = 10;
const RSA_BITS = { fewest: 2048, most: 4096 };

/** @returns a schema for base64url (RFC 7515 section 2) of so many bytes, in its only spelling */
const bytes = (length: number) =>
  z
    .string()
    .max(1024)
    .refine(
      (text) => {
        const decoded = Buffer.from(text, 'base64url');
        return decoded.toString('base64url') === text && (length === 0 || decoded.length === length);
      },
      `must be base64url${length === 0 ? '' : ` of ${length} bytes`}`,
    );

/** A private key that was sent is no longer secret: it must be replaced, not stored. */
const secret = z
  .never('belongs to a private key, which is no longer secret: make another key and register its public half')
  .optional();
const shared = {
  kid: z.string().min(1).max(200).optional().describe('without it the thumbprint of RFC 7638'),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string().max(20))
    .max(8)
    .refine((ops) => ops.includes('verify'), 'must include verify')
    .optional(),
  d: secret,
  p: secret,
  q: secret,
  dp: secret,
  dq: secret,
  qi: secret,
  oth: secret,
  k: secret,
};

const publicKey = z
  .discriminatedUnion('kty', [
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: bytes(32).refine(
        (x) => isEd25519Key(Buffer.from(x, 'base64url')),
        'must be an Ed25519 key that was made at random: anybody could sign under this one',
      ),
      alg: z.enum(['EdDSA', 'Ed25519']).optional(),
      ...shared,
    }),
    z.discriminatedUnion('crv', [
      z.object({
        kty: z.literal('EC'),
        crv: z.literal('P-256'),
        x: bytes(32),
        y: bytes(32),
        alg: z.literal('ES256').optional(),
        ...shared,
      }),
      z.object({
        kty: z.literal('EC'),
        crv: z.literal('P-384'),
        x: bytes(48),
        y: bytes(48),
        alg: z.literal('ES384').optional(),
        ...shared,
      }),
    ]),
    z.object({
      kty: z.literal('RSA'),
      n: bytes(0),
      e: z.literal('AQAB'),
      alg: z.enum(['PS256', 'RS384']).optional(),
      ...shared,
    }),
  ])
  .refine(isPublicKey, `must be a valid public key, RSA with ${RSA_BITS.fewest} to ${RSA_BITS.most} bits`)
  .refine((key) => key.kty === 'RSA' || !isPublishedKey(key), PUBLISHED_KEY);

export const EXAMPLE_JWKS = { keys: [EXAMPLE_KEY] };

/** Unknown members are dropped (RFC 7517 section 4). */
export const newJwks = z
  .strictObject({
    keys: z
      .array(publicKey)
      .min(1)
      .max(MOST_KEYS)
      .refine((keys) => {
        const named = keys.flatMap(({ kid }) => kid ?? []);
        return new Set(named).size === named.length;
      }, 'must have a different kid for each key'),
  })
  .meta({ id: 'NewJwks', title: 'NewJwks', description: 'JWK Set (RFC 7517) of public keys.', example: EXAMPLE_JWKS });
export type NewJwks = z.output<typeof newJwks>;

export const jwks = z
  .object({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) })
  .meta({ id: 'Jwks', title: 'Jwks' });
export type Jwks = z.output<typeof jwks>;

/**
 * Whether OpenSSL accepts it and its size is safe: a point on its curve, or a modulus that is neither weak nor too
 * costly.
 */
function isPublicKey(key: object): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: key as JsonWebKey, format: 'jwk' });
    if (asymmetricKeyType !== 'rsa') return true;
    const bits = asymmetricKeyDetails?.modulusLength ?? 0;
    return bits >= RSA_BITS.fewest && bits <= RSA_BITS.most;
  } catch {
    return false;
  }
}

/** Gives every key a `kid`: its own, or its thumbprint (RFC 7638). */
export async function withKeyIds({ keys }: NewJwks): Promise<Jwks> {
  return {
    keys: await Promise.all(
      keys.map(async (key) => ({ ...key, kid: key.kid ?? (await calculateJwkThumbprint(key as never)) })),
    ),
  };
}
