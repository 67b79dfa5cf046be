/** Reads actors' public keys from saved files: a JWK, the output of `keys new`, or an answer of the service. */
import { isObject } from '../../ledger/core/jcs.js';
import { isPublicJwk, type PublicJwk } from '../../ledger/core/record/public-key.js';

/** Every key in a JSON text, with its required members only; may be none. */
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
