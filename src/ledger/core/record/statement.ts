/** The statement by which an actor signs an event, and the check of such a signature in a payload (design 3). */
import type { JsonObject, LedgerEvent } from './event.js';
import { utf8 } from '../bytes.js';
import { isObject, jcs } from '../jcs.js';
import { holdsFor, JwsError, parseDetachedJws } from './jws.js';
import { type CheckSignature, nobleCheck, type PublicJwk, thumbprint } from './public-key.js';

/** The signed statement of an event (design 3). Entry and payload hold all of it, so that it can be rebuilt. */
export interface Statement {
  /** The log's origin. */
  readonly log: string;
  /** Chain id. */
  readonly chain: string;
  readonly type: string;
  readonly actor: LedgerEvent['actor'];
  /** RFC 3339 UTC with milliseconds. */
  readonly occurredAt: string;
  /** The request's `Idempotency-Key`: unique per actor, so that nothing signed is recorded twice. */
  readonly commandId: string;
  readonly data: JsonObject;
}

/** Members of a payload that the statement repeats. */
export const STATED: readonly string[] = ['actor', 'data', 'occurredAt', 'type'];

/** The statement of an event that carries a commandId. */
export function statementOf(
  log: string,
  { chain, type, actor, occurredAt, data }: Pick<LedgerEvent, 'chain' | 'type' | 'actor' | 'occurredAt' | 'data'>,
  commandId: string,
): Statement {
  return { log, chain, type, actor, occurredAt, commandId, data };
}

/** The bytes that are signed: RFC 8785. @throws JcsError */
export function statementBytes({ log, chain, type, actor, occurredAt, commandId, data }: Statement): Uint8Array {
  return utf8(jcs({ log, chain, type, actor, occurredAt, commandId, data }));
}

/** The actor's signature in a payload, as far as given keys of the actor can check it. */
export type ShownSignature =
  | { readonly state: 'none' }
  /** Signed with a key that was not given, so it cannot be checked. */
  | { readonly state: 'unchecked'; readonly kid: string }
  | { readonly state: 'holds' | 'wrong'; readonly kid: string };

/**
 * Checks the signature in a payload, or in its disclosed members, after the commitment was checked. Only the log chain
 * tells whether the key was in force at that time.
 * @param keys of the actor, obtained from the actor
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
  // A signature without all members that it covers cannot be valid.
  if (!STATED.every((name) => Object.hasOwn(payload, name))) return { state: 'wrong', kid };
  const said = payload as unknown as LedgerEvent;
  const statement = statementOf(log, { ...said, chain }, signature['commandId']);
  return { state: holdsFor(jws, key, statementBytes(statement), check) ? 'holds' : 'wrong', kid };
}
