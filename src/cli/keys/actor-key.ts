/** Actors' public keys as people keep them: a JWK, what `keys new` printed, or what the service answered. */
import { isObject } from '../../ledger/core/jcs.js';
import { isPublicJwk, type PublicJwk } from '../../ledger/core/record/public-key.js';

/** Every key in a JSON text, without members that a key may have besides; none where there is none. */
export function publicKeysIn(text: string): PublicJwk[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  return keysOf(value);
}

function keysOf(value: unknown): PublicJwk[] {
  if (!isObject(value)) return [];
  const { kty, crv, x, y, jwk, keys, items } = value;
  const key: unknown = y === undefined ? { kty, crv, x } : { kty, crv, x, y };
  if (isPublicJwk(key)) return [key];
  for (const list of [keys, items]) if (Array.isArray(list)) return list.flatMap(keysOf);
  return keysOf(jwk);
}
