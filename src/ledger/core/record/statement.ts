/** What an actor signs of an event, and whether a payload shows that they did (design 3). */
import type { JsonObject, LedgerEvent } from './event.js';
import { utf8 } from '../bytes.js';
import { isObject, jcs } from '../jcs.js';
import { holdsFor, JwsError, parseDetachedJws } from './jws.js';
import { type CheckSignature, nobleCheck, type PublicJwk, thumbprint } from './public-key.js';

/** What an actor signs of an event (design 3). All of it stands in entry and payload, so that it can be rebuilt. */
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
