import { commitMembers, type Member, parsePayload, payloadText } from './core/commitment.js';
import type { Hasher } from './core/hasher.js';
import { jcs } from './core/jcs.js';
import type { ChainKind, JsonObject, LedgerEvent } from './model.js';

const SALT = 32;

/** An event in its committed form. */
export interface SealedEvent {
  readonly text: string;
  readonly commitment: Uint8Array;
}

/**
 * The payload of an event (design 3): JCS of `{actor, data, derived, kind, occurredAt, recordedAt, type}`
 * and the commitment to it.
 * @throws JcsError when data or derived hold something that is not JSON
 */
export function sealEvent(hasher: Hasher, salt: Uint8Array, event: LedgerEvent<string, unknown, unknown>): SealedEvent {
  const members: Member[] = [
    ['actor', jcs(event.actor)],
    ['data', jcs(event.data)],
    ['derived', jcs(event.derived)],
    ['kind', jcs(event.kind)],
    ['occurredAt', jcs(event.occurredAt)],
    ['recordedAt', jcs(event.recordedAt)],
    ['type', jcs(event.type)],
  ];
  return { text: payloadText(members), commitment: commitMembers(hasher, salt, members).commitment };
}

/** salt || payload text, as it stands in the ciphertext. */
export function payloadBytes(salt: Uint8Array, text: string): Buffer {
  return Buffer.concat([salt, Buffer.from(text)]);
}

export function splitPayload(bytes: Buffer): { salt: Buffer; text: string } {
  return { salt: bytes.subarray(0, SALT), text: bytes.toString('utf8', SALT) };
}

/** @throws PayloadError when the text is not a canonical payload */
export function openEvent(text: string, chain: string, seq: number): LedgerEvent {
  const payload = parsePayload(text);
  return {
    kind: payload['kind'] as ChainKind,
    chain,
    seq,
    type: payload['type'] as string,
    data: payload['data'] as JsonObject,
    derived: payload['derived'] as JsonObject,
    actor: payload['actor'] as LedgerEvent['actor'],
    occurredAt: payload['occurredAt'] as string,
    recordedAt: payload['recordedAt'] as string,
  };
}
