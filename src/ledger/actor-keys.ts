/** Public keys of actors, as the log chain's events give them. Pure. */
import type { LedgerEvent } from './model.js';

/** A public key as JWK (RFC 7517): its required members alone, so that it has one spelling. Coordinates are base64url. */
export type PublicJwk = { kty: 'OKP'; crv: 'Ed25519'; x: string } | { kty: 'EC'; crv: 'P-256'; x: string; y: string };

/** `kid` is the thumbprint of `jwk` (RFC 7638, SHA-256). `account` is a random id; nothing of this is personal. */
export type KeyEnrolled = LedgerEvent<'actor-key.enrolled/1', { account: string; jwk: PublicJwk; kid: string }, object>;
export type KeyRevoked = LedgerEvent<
  'actor-key.revoked/1',
  { account: string; kid: string; reason: string },
  { by: 'self' | 'administrator' }
>;

/** A key that was ever enrolled. */
export interface ActorKey {
  /** Account id. */
  readonly account: string;
  /** Null once it is revoked: it signs nothing more, and is never enrolled again. */
  readonly jwk: PublicJwk | null;
}

export interface ActorKeys {
  /** By kid. */
  readonly keys: Readonly<Record<string, ActorKey>>;
  /** Kids of the keys in force by account; an account without one is not there. */
  readonly inForce: Readonly<Record<string, readonly string[]>>;
}

export const NO_KEYS: ActorKeys = { keys: {}, inForce: {} };

export function withEnrolled({ keys, inForce }: ActorKeys, { account, jwk, kid }: KeyEnrolled['data']): ActorKeys {
  return {
    keys: { ...keys, [kid]: { account, jwk } },
    inForce: { ...inForce, [account]: [...(inForce[account] ?? []), kid] },
  };
}

export function withRevoked({ keys, inForce }: ActorKeys, { account, kid }: KeyRevoked['data']): ActorKeys {
  const { [account]: before = [], ...others } = inForce;
  const left = before.filter((each) => each !== kid);
  return {
    keys: { ...keys, [kid]: { account, jwk: null } },
    inForce: left.length === 0 ? others : { ...others, [account]: left },
  };
}
