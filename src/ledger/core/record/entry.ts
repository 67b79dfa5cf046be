import { isKeyName } from '../tlog/note.js';
import { EncodingError, fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.js';
import { HASH_BYTES } from '../hasher.js';
import { isObject } from '../jcs.js';
import { MAX_ENTRY_BYTES } from '../tlog/tiles.js';

/** `prev` of the first entry of a chain. */
export const ZERO32: Uint8Array = new Uint8Array(HASH_BYTES);
/** Chain id of the log's own chain (the nil UUID, RFC 9562 section 5.9). */
export const LOG_CHAIN = '00000000-0000-0000-0000-000000000000';

/**
 * The record that is hashed into the log. It holds no personal or clinical data: no actor, type, drug, organisation or
 * patient.
 */
export interface Entry {
  /** Chain id: a UUID in lower case (RFC 9562). */
  readonly chain: string;
  /** Commitment to the payload, 32 bytes. */
  readonly commitment: Uint8Array;
  /** The log's origin. */
  readonly log: string;
  /** Leaf hash of the previous entry of the same chain, 32 bytes; {@link ZERO32} exactly for seq 0. */
  readonly prev: Uint8Array;
  /** Position in the chain, from 0; a safe integer. */
  readonly seq: number;
  /** RFC 3339 UTC, cut to the minute: `YYYY-MM-DDTHH:MM:00Z`, as {@link entryTime} writes it. */
  readonly time: string;
}

/** Bytes or members are not a valid entry. The message names the member, never its value. */
export class EntryError extends Error {
  override readonly name = 'EntryError';
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$/;
const MEMBERS = 'chain,commitment,log,prev,seq,time,v';

/**
 * The minute of an instant as an entry carries it. Seconds are always `00`: RFC 3339 does not let them be left out.
 * @param ms since 1970, of a year from 0000 to 9999. @throws EntryError otherwise.
 */
export function entryTime(ms: number): string {
  const time = Number.isFinite(ms) && Math.abs(ms) <= 8.64e15 ? `${new Date(ms).toISOString().slice(0, -8)}:00Z` : '';
  if (!TIME.test(time)) throw new EntryError('time');
  return time;
}

/** Whether {@link entryTime} could have written it. */
export function isEntryTime(time: string): boolean {
  const ms = TIME.test(time) ? Date.parse(time) : Number.NaN;
  return Number.isFinite(ms) && entryTime(ms) === time;
}

/**
 * The canonical bytes of an entry: RFC 8785 JSON with the members chain, commitment, log, prev, seq, time, v.
 * @throws EntryError when a member breaks its form, or the whole is longer than {@link MAX_ENTRY_BYTES}.
 */
export function encodeEntry(entry: Entry): Uint8Array {
  check(entry);
  const bytes = utf8(entryText(entry));
  if (bytes.length > MAX_ENTRY_BYTES) throw new EntryError('length');
  return bytes;
}

/**
 * Reads stored bytes strictly: exactly the seven members, in canonical form.
 * @throws EntryError
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.length > MAX_ENTRY_BYTES) throw new EntryError('length');
  try {
    const text = fromUtf8(bytes);
    const entry = toEntry(JSON.parse(text));
    check(entry);
    if (entryText(entry) !== text) throw new EntryError('form');
    return entry;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof EncodingError) throw new EntryError('form');
    throw error;
  }
}

function toEntry(value: unknown): Entry {
  if (!isObject(value) || Object.keys(value).join() !== MEMBERS) throw new EntryError('members');
  const { chain, commitment, log, prev, seq, time, v } = value;
  if (typeof chain !== 'string' || typeof commitment !== 'string' || typeof log !== 'string')
    throw new EntryError('members');
  if (typeof prev !== 'string' || typeof seq !== 'number' || typeof time !== 'string') throw new EntryError('members');
  if (v !== 1) throw new EntryError('v');
  return { chain, commitment: fromBase64(commitment), log, prev: fromBase64(prev), seq, time };
}

// All entries of a batch, and most of a minute, carry the same time.
let checkedTime = '';

function check({ chain, commitment, log, prev, seq, time }: Entry): void {
  if (!UUID.test(chain)) throw new EntryError('chain');
  if (commitment.length !== HASH_BYTES) throw new EntryError('commitment');
  if (!isKeyName(log)) throw new EntryError('log');
  if (prev.length !== HASH_BYTES) throw new EntryError('prev');
  if (!Number.isSafeInteger(seq) || seq < 0 || Object.is(seq, -0)) throw new EntryError('seq');
  if ((seq === 0) !== prev.every((byte) => byte === 0)) throw new EntryError('prev');
  if (time !== checkedTime) {
    if (!isEntryTime(time)) throw new EntryError('time');
    checkedTime = time;
  }
}

// Written by hand for the writer's hot path; a property test compares it with jcs().
function entryText({ chain, commitment, log, prev, seq, time }: Entry): string {
  return `{"chain":"${chain}","commitment":"${toBase64(commitment)}","log":${JSON.stringify(log)},"prev":"${toBase64(prev)}","seq":${seq},"time":"${time}","v":1}`;
}
