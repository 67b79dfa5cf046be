import type { LedgerEvent } from '../../model.js';
import { isObject } from '../jcs.js';
import { holdsFor, JwsError, parseDetachedJws } from './jws.js';
import { type CheckSignature, nobleCheck, type PublicJwk, thumbprint } from './public-key.js';
import { STATED, statementBytes, statementOf } from './statement.js';

/** What a payload shows of its actor's signature to somebody who holds keys of the actor. */
export type ShownSignature =
  | { readonly state: 'none' }
  /** Signed with a key that is not at hand: nothing is known of it. */
  | { readonly state: 'unchecked'; readonly kid: string }
  | { readonly state: 'holds' | 'wrong'; readonly kid: string };

/**
 * Checks the signature of a payload, or of what is disclosed of one, that is what its entry commits to. Whether the key
 * was in force then only the log chain says.
 * @param keys of the actor, got from the actor
 * @param entry log and chain of the entry
 */
export function shownSignature(
  payload: Readonly<Record<string, unknown>>,
  { log, chain }: { readonly log: string; readonly chain: string },
  keys: readonly PublicJwk[],
  check: CheckSignature = nobleCheck,
): ShownSignature {
  const { signature } = payload;
  if (signature === undefined) return { state: 'none' };
  if (!isObject(signature) || typeof signature['jws'] !== 'string' || typeof signature['commandId'] !== 'string')
    return { state: 'wrong', kid: '' };
  let jws: ReturnType<typeof parseDetachedJws>;
  try {
    jws = parseDetachedJws(signature['jws']);
  } catch (error) {
    if (error instanceof JwsError) return { state: 'wrong', kid: '' };
    throw error;
  }
  const { kid } = jws;
  const key = keys.find((each) => thumbprint(each) === kid);
  if (!key) return { state: 'unchecked', kid };
  // Without all that it covers it is the signature of nothing.
  if (!STATED.every((name) => Object.hasOwn(payload, name))) return { state: 'wrong', kid };
  const said = payload as unknown as LedgerEvent;
  const statement = statementOf(log, { ...said, chain }, signature['commandId']);
  return { state: holdsFor(jws, key, statementBytes(statement), check) ? 'holds' : 'wrong', kid };
}
