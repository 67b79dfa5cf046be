import type { LedgerEvent } from '../core/record/event.js';
import type { Db } from '../../database/db.js';
import { LOG_CHAIN } from '../core/record/entry.js';
import {
  type Continuation,
  ContinuationError,
  LOG_CONTINUED,
  openContinuation,
} from '../core/statements/continuation.js';
import { LOG_KEY_ROTATED, openRotation, type Rotation, RotationError } from '../core/statements/key-rotation.js';
import { parseVerifierKey } from '../core/tlog/note.js';
import { openEvent, splitPayload } from '../store/payload.js';

/** A key replaced another: in the same log, or when the log took another name. */
export type Move = ({ readonly kind: 'rotation' } & Rotation) | ({ readonly kind: 'continuation' } & Continuation);

/** A name of the log, and the entry from which it counts. */
export interface LogName {
  readonly origin: string;
  /** Log index of the first entry that carries it. */
  readonly from: number;
}

/** The successive names and keys of a log, from the events of its own chain. */
export class KeyHistory {
  private readonly taken: Move[] = [];

  /** @param first the log's name in its first entry */
  constructor(readonly first: string) {}

  /**
   * Takes an event of the log chain, in log order. Events of other types are ignored.
   * @returns the fault of an invalid event, which then changes nothing; null when it is valid
   */
  take(index: number, { type, data }: Pick<LedgerEvent, 'type' | 'data'>): string | null {
    try {
      if (type === LOG_KEY_ROTATED) return this.follow(index, { kind: 'rotation', ...openRotation(data) });
      if (type === LOG_CONTINUED) return this.follow(index, { kind: 'continuation', ...openContinuation(data) });
      return null;
    } catch (error) {
      if (error instanceof RotationError) return `is not a valid replacement of the key: ${error.message}`;
      if (error instanceof ContinuationError) return `is not a valid continuation of a log: ${error.message}`;
      throw error;
    }
  }

  private follow(index: number, move: Move): string | null {
    const of = move.kind === 'rotation' ? move.origin : move.oldOrigin;
    if (of !== this.origin) return 'replaces the key of another log';
    if (move.size !== index) return 'replaces the key at another place of the log';
    const last = this.taken.at(-1);
    if (last && last.to !== move.from) return 'replaces a key that was not in force';
    if (move.kind === 'continuation' && this.names.some(({ origin }) => origin === move.origin))
      return 'goes back to a name that it had';
    this.taken.push(move);
    return null;
  }

  get origin(): string {
    return this.taken.at(-1)?.origin ?? this.first;
  }

  /** All names, oldest first; usually only one. */
  get names(): readonly LogName[] {
    return [{ origin: this.first, from: 0 }, ...this.continuations.map(({ origin, size: from }) => ({ origin, from }))];
  }

  /** In log order. */
  get moves(): readonly Move[] {
    return this.taken;
  }

  /** In log order. */
  get rotations(): readonly Rotation[] {
    return this.taken.filter((move) => move.kind === 'rotation');
  }

  /** In log order; usually none. */
  get continuations(): readonly Continuation[] {
    return this.taken.filter((move) => move.kind === 'continuation');
  }

  /** All keys, oldest first. Empty when no key was ever replaced, since no event names the first key alone. */
  get vkeys(): readonly string[] {
    return this.taken.flatMap(({ from, to }, at) => (at === 0 ? [from, to] : [to]));
  }

  /** The keys of the log's current name, oldest first. */
  get vkeysNow(): readonly string[] {
    return this.vkeys.filter((vkey) => parseVerifierKey(vkey).name === this.origin);
  }

  /**
   * The current key, for whoever trusts the given one. A key that the log never had, or had only under a previous name,
   * is returned unchanged.
   */
  newest(trusted: string): string {
    return this.vkeysNow.includes(trusted) ? (this.vkeys.at(-1) ?? trusted) : trusted;
  }

  /**
   * The keys that must have signed a checkpoint of that size: one, or both at the size at which one replaced the other.
   */
  signersAt(size: number, trusted: string): readonly string[] {
    if (!this.vkeys.includes(trusted)) return [trusted];
    const move = this.taken.find((each) => size <= each.size + 1);
    if (!move) return [this.vkeys.at(-1) ?? trusted];
    if (size <= move.size) return [move.from];
    return move.kind === 'rotation' ? [move.from, move.to] : [move.to];
  }
}

/**
 * Reads the log's names and keys from the stored payloads of its own chain. Their commitments are not checked here;
 * `verify` does that.
 * @param wrong called with each invalid event's fault and log index
 */
export async function readKeyHistory(
  db: Db,
  origin: string,
  wrong: (index: number, what: string) => void = () => undefined,
): Promise<KeyHistory> {
  const rows = await db.query<{ idx: number; seq: number; body: Buffer }>(
    `SELECT e.idx, e.seq, p.body FROM entry e JOIN payload p ON p.idx = e.idx
     WHERE e.chain = (SELECT num FROM chain WHERE id = ?) ORDER BY e.idx`,
    [LOG_CHAIN],
  );
  const events = rows.flatMap(({ idx, seq, body }) => {
    const event = eventIn(body, seq);
    return event ? [{ idx, event }] : [];
  });
  const history = new KeyHistory(firstName(events.map(({ event }) => event)) ?? origin);
  for (const { idx, event } of events) {
    const fault = history.take(idx, event);
    if (fault) wrong(idx, fault);
  }
  const last = history.continuations.at(-1);
  if (last && history.origin !== origin) wrong(last.size, 'continues the log under another name than its head has');
  return history;
}

/** The log's name before its first continuation; null when it never had another. */
function firstName(events: readonly LedgerEvent[]): string | null {
  for (const { type, data } of events) {
    try {
      if (type === LOG_CONTINUED) return openContinuation(data).oldOrigin;
    } catch (error) {
      if (!(error instanceof ContinuationError)) throw error;
    }
  }
  return null;
}

/** @returns null when the bytes are not a payload, which `verify` reports elsewhere */
function eventIn(body: unknown, seq: number): LedgerEvent | null {
  try {
    return openEvent(splitPayload(body as Buffer).text, LOG_CHAIN, seq);
  } catch {
    return null;
  }
}

/** The log name in an entry of this index. @param names oldest first */
export function nameAt(names: readonly LogName[], index: number): string {
  return names.findLast(({ from }) => from <= index)?.origin ?? '';
}
