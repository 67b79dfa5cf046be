import type { LedgerEvent } from '../core/record/event.js';
import { type ChainRow, ERASED } from '../store/chain-row.js';
import { isCommitted, parsePayload } from '../core/record/commitment.js';
import { decodeEntry } from '../core/record/entry.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { openEvent, splitPayload } from '../store/payload.js';
import { bytes, integer, text as textOf } from './cells.js';

/** An entry with its payload; null: none is stored. */
export interface EventRow {
  idx: number;
  chain: number;
  seq: number;
  entry: Buffer;
  body: Buffer | null;
}

/**
 * @returns the event that ends an erased chain; null when the payload is no erasure, or does not match its entry's
 * commitment
 */
export function erasureOf({ body, entry, seq }: EventRow, chain: string): LedgerEvent | null {
  try {
    const { salt, keyed, text } = splitPayload(bytes(body));
    const { commitment } = decodeEntry(bytes(entry));
    if (keyed || !isCommitted(nodeHasher, commitment, salt, parsePayload(text))) return null;
    const event = openEvent(text, chain, seq);
    return event.type === ERASED ? event : null;
  } catch {
    return null;
  }
}

/** @returns whether an entry's time is the minute of the instant at which its payload was recorded */
export function isMinuteOf(time: string, recordedAt: unknown): boolean {
  return typeof recordedAt === 'string' && `${recordedAt.slice(0, 16)}:00Z` === time;
}

/** The row with values of the declared types: a wrong type becomes a value that matches nothing. */
export function readable(row: ChainRow): ChainRow {
  return {
    num: integer(row.num),
    id: row.id,
    kind: textOf(row.kind) as ChainRow['kind'],
    subject: integer(row.subject),
    seq: integer(row.seq),
    leaf: bytes(row.leaf),
    data_key: bytes(row.data_key),
    state_version: integer(row.state_version),
    state: bytes(row.state),
    subject_id: row.subject_id === null ? null : textOf(row.subject_id),
    kek: textOf(row.kek),
    wrapped_key: bytes(row.wrapped_key),
  };
}
