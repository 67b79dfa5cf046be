import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, EncodingError, fromBase64Url, toBase64Url, utf8 } from '../bytes.js';
import { isEd25519Key } from '../ed25519-key.js';
import { isObject, jcs } from '../jcs.js';

/**
 * An actor's public key as JWK (RFC 7517, 8037), with its required members only, so that it has one spelling.
 * Coordinates are base64url of 32 bytes.
 */
export type PublicJwk =
  | { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string }
  | { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string };

const COORDINATE_BYTES = 32;

/** Whether this is a {@link PublicJwk}: no other member, a point on its curve and in its group of prime order. */
export function isPublicJwk(value: unknown): value is PublicJwk {
  if (!isObject(value)) return false;
  const { kty, crv, x, y } = value;
  const members = Object.keys(value).toSorted().join();
  try {
    if (members === 'crv,kty,x' && kty === 'OKP' && crv === 'Ed25519') {
      return isEd25519Key(coordinate(x));
    }
    if (members === 'crv,kty,x,y' && kty === 'EC' && crv === 'P-256') {
      p256.Point.fromBytes(uncompressed(coordinate(x), coordinate(y))).assertValidity();
      return true;
    }
  } catch {
    // The bytes are not a point of that curve.
  }
  return false;
}

/** `kid` of a key: its thumbprint (RFC 7638 with SHA-256), base64url. */
export function thumbprint({ kty, crv, x, ...more }: PublicJwk): string {
  const required = 'y' in more ? { crv, kty, x, y: more.y } : { crv, kty, x };
  return toBase64Url(sha256(utf8(jcs(required))));
}

/** Checks a signature of 64 bytes: Ed25519 (RFC 8032), or ECDSA over SHA-256 as R || S (RFC 7518 section 3.4). */
export type CheckSignature = (key: PublicJwk, message: Uint8Array, signature: Uint8Array) => boolean;

/** Runs anywhere; `nodeCheck` is several times faster, and the two must agree. */
export const nobleCheck: CheckSignature = (key, message, signature) => {
  try {
    if (key.crv === 'Ed25519') return ed25519.verify(signature, message, coordinate(key.x), { zip215: false });
    // Accepts high S too: RFC 7518 does not require low S.
    return p256.verify(signature, message, uncompressed(coordinate(key.x), coordinate(key.y)), { lowS: false });
  } catch {
    return false;
  }
};

const uncompressed = (x: Uint8Array, y: Uint8Array): Uint8Array => concat(Uint8Array.of(4), x, y);

function coordinate(text: unknown): Uint8Array {
  const bytes = typeof text === 'string' ? fromBase64Url(text) : new Uint8Array();
  if (bytes.length !== COORDINATE_BYTES) throw new EncodingError('a coordinate is not 32 bytes');
  return bytes;
}
