import { VaultError } from '../crypto/aes-gcm.js';
import type { ChainKind, EventSignature, JsonObject, LedgerEvent } from '../core/record/event.js';
import { commit, commitMembers, type Member, parsePayload, payloadText } from '../core/record/commitment.js';
import { decodeEntry } from '../core/record/entry.js';
import type { Hasher } from '../core/hasher.js';
import { jcs } from '../core/jcs.js';
import { nodeHasher } from '../crypto/node-hasher.js';

const SALT = 32;

/** An event in its committed form. */
export interface SealedEvent {
  readonly text: string;
  readonly commitment: Uint8Array;
}

/**
 * The payload of an event (design 3): JCS of `{actor, data, derived, kind, occurredAt, recordedAt, signature?, type}`
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
  if (event.signature) members.push(['signature', jcs(event.signature)]);
  return { text: payloadText(members), commitment: commitMembers(hasher, salt, members) };
}

/**
 * The bytes to encrypt: salt || mark || payload text. Payloads of the log chain, and the last one of an erased chain,
 * are stored so in the clear.
 * @param keyed whether this is the first event of a command with an idempotency key. `verify` then looks for the
 * remembered request: without that row a retry would be recorded twice
 */
export function payloadBytes(salt: Uint8Array, text: string, keyed: boolean): Buffer {
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(SALT + 1 + length);
  bytes.set(salt);
  bytes[SALT] = keyed ? 1 : 0;
  bytes.write(text, SALT + 1, length, 'utf8');
  return bytes;
}

/** Payload and salt of {@link payloadBytes} as a receipt discloses them, base64. */
export function disclosed(bytes: Buffer): { payload: string; salt: string } {
  return { payload: bytes.toString('base64', SALT + 1), salt: bytes.toString('base64', 0, SALT) };
}

/** The parts of {@link payloadBytes}. @throws VaultError when the mark is not one that the writer uses */
export function splitPayload(bytes: Buffer): { salt: Buffer; keyed: boolean; text: string } {
  const mark = bytes[SALT];
  if (mark !== 0 && mark !== 1) throw new VaultError('a payload has no mark');
  return { salt: bytes.subarray(0, SALT), keyed: mark === 1, text: bytes.toString('utf8', SALT + 1) };
}

/**
 * The parts of {@link payloadBytes} stored in the clear. They are not authenticated by encryption, so they are checked
 * against the entry's commitment.
 * @throws VaultError, PayloadError, EntryError when they do not match it
 */
export function openClear(entry: Uint8Array, bytes: Buffer): ReturnType<typeof splitPayload> {
  const parts = splitPayload(bytes);
  const { commitment } = commit(nodeHasher, parts.salt, parsePayload(parts.text));
  if (!Buffer.from(commitment).equals(decodeEntry(entry).commitment))
    throw new VaultError('a payload is not what its entry commits to');
  return parts;
}

/** salt || payload text, the form in exports and the input of the commitment check. */
export function exportedPayload(salt: Uint8Array, text: string): Buffer {
  return Buffer.concat([salt, Buffer.from(text)]);
}

export function splitExported(bytes: Buffer): { salt: Buffer; text: string } {
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
    ...(payload['signature'] !== undefined && { signature: payload['signature'] as EventSignature }),
  };
}
