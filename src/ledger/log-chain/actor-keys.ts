/** Public keys of actors, from the log chain's events. Pure. */
import type { LedgerEvent } from '../core/record/event.js';
import type { PublicJwk } from '../core/record/public-key.js';

/** Types of the log chain's events about actors' keys. */
export const KEY_ENROLLED = 'actor-key.enrolled/1';
export const KEY_REVOKED = 'actor-key.revoked/1';

/** Types of the log chain's events that an actor with a key in force signs. */
export const SIGNABLE_ON_LOG: readonly string[] = [KEY_ENROLLED, KEY_REVOKED];

/** `kid` is the thumbprint of `jwk` (RFC 7638, SHA-256). `account` is a random id; nothing of this is personal. */
export type KeyEnrolled = LedgerEvent<
  typeof KEY_ENROLLED,
  { account: string; jwk: PublicJwk; kid: string },
  Record<string, never>
>;

/** Why a key was revoked. */
export const REVOCATION_REASONS = ['replaced', 'lost', 'compromised', 'left', 'other'] as const;
export type RevocationReason = (typeof REVOCATION_REASONS)[number];

/**
 * `self`: by the actor, signed with a key in force. `administrator`: unsigned. `restored`: by the service, again, after
 * a restored backup had brought the key back.
 */
export type KeyRevoked = LedgerEvent<
  typeof KEY_REVOKED,
  { account: string; kid: string; reason: RevocationReason },
  { by: 'self' | 'administrator' | 'restored' }
>;

export const isKeyEnrolled = <E extends LedgerEvent>(event: E): event is E & KeyEnrolled => event.type === KEY_ENROLLED;
export const isKeyRevoked = <E extends LedgerEvent>(event: E): event is E & KeyRevoked => event.type === KEY_REVOKED;

/** A key that was ever enrolled. */
export interface ActorKey {
  /** Account id. */
  readonly account: string;
  /** Null once it is revoked: it cannot sign or be enrolled again. */
  readonly jwk: PublicJwk | null;
}

export interface ActorKeys {
  /** By kid. */
  readonly keys: Readonly<Record<string, ActorKey>>;
  /** Kids of the keys in force by account; only accounts that have one. */
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
