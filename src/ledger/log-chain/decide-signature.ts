/** Checks that the event of a command carries the signature that it needs (design 3). */
import type { EventSignature } from '../core/record/event.js';
import { type ActorKeys, KEY_ENROLLED, type KeyEnrolled } from './actor-keys.js';
import { type DetachedJws, holdsFor, JwsError, parseDetachedJws } from '../core/record/jws.js';
import type { CheckSignature, PublicJwk } from '../core/record/public-key.js';
import { statementBytes, statementOf } from '../core/record/statement.js';
import { type Command, type Decision, type NewEvent, refuse } from '../model.js';

/**
 * Largest difference, ms, between the signed instant and the recording, for events without an instant of their own.
 * Signatures must not be kept for later.
 */
export const SIGNED_WITHIN_MS = 5 * 60_000;

/**
 * From the enrolment of their first key until all are revoked, an actor's events of signable types must be signed. An
 * enrolment must always be signed by the enrolled key, as proof of possession. When the actor has a key in force, it
 * must be signed by that key too.
 * @param keys the actors' keys at the point of recording
 * @param events accepted by `decide`: at most one of a signable type
 * @param now instant of the batch, ms since 1970
 * @returns the events, the signed one with its signature; or a refusal. Its facts hold the statement to sign when the
 * actor needs that, which contains only the actor's own data
 */
export function decideSignature(
  keys: ActorKeys,
  { actor, idempotency, signature }: Pick<Command, 'actor' | 'idempotency' | 'signature'>,
  events: readonly NewEvent[],
  signable: (event: NewEvent) => boolean,
  origin: string,
  now: number,
  check: CheckSignature,
): Decision {
  const at = events.findIndex(signable);
  const event = events[at];
  if (events.filter(signable).length > 1) throw new Error('a command records two events that are signed');
  const mine = keys.inForce[actor.id] ?? [];
  const enrols = event?.type === KEY_ENROLLED ? (event.data as KeyEnrolled['data']) : null;
  if (!event || (!signature && mine.length === 0 && !enrols)) {
    if (signature) throw new Error('a command is signed that records nothing to sign');
    return { events };
  }
  if (!idempotency) return refuse('signature.command-id-missing');
  const { id, org, role } = actor;
  const instant = event.occurredAt ?? signature?.occurredAt ?? new Date(now).toISOString();
  const statement = statementOf(origin, { ...event, actor: { id, org, role }, occurredAt: instant }, idempotency.key);
  const facts = { statement: { ...statement, actor: { id, org, role } } };
  if (!signature) return refuse('signature.required', facts);
  if (!(Math.abs(Date.parse(instant) - now) <= SIGNED_WITHIN_MS) && event.occurredAt === undefined)
    return refuse('signature.not-now', { now: new Date(now).toISOString() });

  const jws = parsed(signature.jws);
  if (!jws) return refuse('signature.malformed');
  const first = enrols && mine.length === 0 ? enrols : null;
  const key = first ? (jws.kid === first.kid ? first.jwk : undefined) : keyInForce(keys, id, jws.kid);
  if (key === undefined) return refuse('signature.key-unknown');
  if (key === null) return refuse('signature.key-revoked');
  const bytes = statementBytes(statement);
  if (instant !== signature.occurredAt || !holdsFor(jws, key, bytes, check)) return refuse('signature.wrong', facts);

  const proof = enrols && !first ? signature.possession : undefined;
  if (enrols && !first) {
    if (proof === undefined) return refuse('signature.possession-missing', facts);
    const shown = parsed(proof);
    if (!shown) return refuse('signature.malformed');
    if (shown.kid !== enrols.kid || !holdsFor(shown, enrols.jwk, bytes, check)) return refuse('signature.wrong', facts);
  }
  const signed: EventSignature = {
    commandId: idempotency.key,
    jws: signature.jws,
    ...(proof !== undefined && { possession: proof }),
  };
  return { events: events.with(at, { ...event, occurredAt: instant, signature: signed }) };
}

/** The actor's key with that kid; null: revoked; undefined: never enrolled by this actor. */
function keyInForce({ keys }: ActorKeys, account: string, kid: string): PublicJwk | null | undefined {
  const key = Object.hasOwn(keys, kid) ? keys[kid] : undefined;
  return key?.account === account ? key.jwk : undefined;
}

function parsed(text: string): DetachedJws | null {
  try {
    return parseDetachedJws(text);
  } catch (error) {
    if (error instanceof JwsError) return null;
    throw error;
  }
}
