import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { CheckSignature, PublicJwk } from '../core/record/public-key.js';
import { Recent } from '../core/recently-used.js';

/** Number of cached key objects. Making one costs as much as a check. */
const KEPT = 1000;
const keys = new Recent<string, KeyObject>(KEPT);

function keyOf(jwk: PublicJwk): KeyObject {
  const name = 'y' in jwk ? `${jwk.x}.${jwk.y}` : jwk.x;
  const known = keys.get(name);
  if (known) return known;
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  keys.set(name, key);
  return key;
}

/** The server's check; a test compares it with `nobleCheck`. */
export const nodeCheck: CheckSignature = (jwk, message, signature) => {
  try {
    const key = keyOf(jwk);
    // A signature is 64 bytes here. DER is refused, since it spells one ECDSA signature in many ways.
    if (jwk.crv === 'Ed25519') return verify(null, message, key, signature);
    return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
  } catch {
    return false;
  }
};
