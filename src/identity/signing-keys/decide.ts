/** Enrolling and revoking actors' keys (design 3): events on the log chain, so that no key can be swapped unnoticed. */
import {
  KEY_ENROLLED,
  KEY_REVOKED,
  NO_KEYS,
  type KeyEnrolled,
  type KeyRevoked,
} from '../../ledger/log-chain/actor-keys.js';
import { may } from '../guard/policy.js';
import { LOG_CHAIN } from '../../ledger/core/record/entry.js';
import { type PublicJwk, thumbprint } from '../../ledger/core/record/public-key.js';
import type { LogChain } from '../../ledger/log-chain/log-chain.js';
import { accept, type Actor, type Decision, refuse } from '../../ledger/model.js';
import type { RefusalCode } from '../../refusals/refusals.js';

/**
 * Limit on one actor's keys in force: a few devices. The state holds each key, and every write of the log chain stores
 * the state.
 */
export const MOST_KEYS = 10;
/** Limit on the keys that one actor ever enrols, since revoked keys are never forgotten. */
export const MOST_EVER = 1000;

export interface EnrolKey {
  readonly jwk: PublicJwk;
}

/** @returns `actor-key.enrolled/1`, which the ledger accepts only when it is signed (`decideSignature`) */
export function decideEnrol(log: LogChain | null, { jwk }: EnrolKey, actor: Actor): Decision<RefusalCode> {
  if (!may(actor.role, 'actor-key.enrol')) return refuse('access.forbidden');
  const { keys, inForce } = log?.actorKeys ?? NO_KEYS;
  const kid = thumbprint(jwk);
  const known = keys[kid];
  if (known?.account === actor.id && known.jwk === null) return refuse('actor-key.revoked');
  if (known) return refuse('actor-key.taken');
  if ((inForce[actor.id]?.length ?? 0) >= MOST_KEYS) return refuse('actor-key.too-many', { most: MOST_KEYS });
  const ever = Object.values(keys).filter(({ account }) => account === actor.id).length;
  if (ever >= MOST_EVER) return refuse('actor-key.too-many', { most: MOST_EVER });
  const data: KeyEnrolled['data'] = { account: actor.id, jwk, kid };
  return accept({ chain: LOG_CHAIN, type: KEY_ENROLLED, data, derived: {} });
}

export type RevokeKey = Pick<KeyRevoked['data'], 'kid' | 'reason'>;

/** @returns `actor-key.revoked/1`: by the actor, signed with a key in force, or by an administrator, and marked so */
export function decideRevoke(log: LogChain | null, { kid, reason }: RevokeKey, actor: Actor): Decision<RefusalCode> {
  const { keys } = log?.actorKeys ?? NO_KEYS;
  const key = Object.hasOwn(keys, kid) ? keys[kid] : undefined;
  if (!key || !may(actor.role, 'actor-key.revoke', key.account === actor.id ? ['own'] : []))
    return refuse('actor-key.unknown');
  if (key.jwk === null) return refuse('actor-key.revoked');
  const data: KeyRevoked['data'] = { account: key.account, kid, reason };
  const derived: KeyRevoked['derived'] = { by: key.account === actor.id ? 'self' : 'administrator' };
  return accept({ chain: LOG_CHAIN, type: KEY_REVOKED, data, derived });
}
