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

/** One key took over from another: of the same log, or of one that goes on under another name. */
export type Move = ({ readonly kind: 'rotation' } & Rotation) | ({ readonly kind: 'continuation' } & Continuation);

/** What a log is called from an entry on. */
export interface LogName {
  readonly origin: string;
  /** Log index of the first entry that carries it. */
  readonly from: number;
}

/** The names and keys of a log, one after the other, as the events of its own chain tell. */
export class KeyHistory {
  private readonly taken: Move[] = [];

  /** @param first the log's name in its first entry */
  constructor(readonly first: string) {}

  /**
   * Takes an event of the log chain, in log order; one of another type says nothing here.
   * @returns what is wrong with it: then no key follows from it; null when nothing is
   */
  take(index: number, { type, data }: Pick<LedgerEvent, 'type' | 'data'>): string | null {
    try {
      if (type === LOG_KEY_ROTATED) return this.follow(index, { kind: 'rotation', ...openRotation(data) });
      if (type === LOG_CONTINUED) return this.follow(index, { kind: 'continuation', ...openContinuation(data) });
      return null;
    } catch (error) {
      if (error instanceof RotationError) return `replaces the key, but not as both keys sign: ${error.message}`;
      if (error instanceof ContinuationError) return `continues a log, but not as its key signs: ${error.message}`;
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

  /** The log's name now. */
  get origin(): string {
    return this.taken.at(-1)?.origin ?? this.first;
  }

  /** Its names, oldest first; one of nearly every log. */
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

  /** In log order; none of nearly every log. */
  get continuations(): readonly Continuation[] {
    return this.taken.filter((move) => move.kind === 'continuation');
  }

  /** All keys, oldest first; none when there was no rotation: then the log's only key stands on no chain. */
  get vkeys(): readonly string[] {
    return this.taken.flatMap(({ from, to }, at) => (at === 0 ? [from, to] : [to]));
  }

  /** Those of the log's name now, oldest first. */
  get vkeysNow(): readonly string[] {
    return this.vkeys.filter((vkey) => parseVerifierKey(vkey).name === this.origin);
  }

  /**
   * The key that signs now, for whoever trusts that one; a key that the log never had leads nowhere, nor does one of before it
   * went on under another name.
   */
  newest(trusted: string): string {
    return this.vkeysNow.includes(trusted) ? (this.vkeys.at(-1) ?? trusted) : trusted;
  }

  /** Who must have signed a checkpoint of that size: one key, or both where one took over from the other. */
  signersAt(size: number, trusted: string): readonly string[] {
    if (!this.vkeys.includes(trusted)) return [trusted];
    const move = this.taken.find((each) => size <= each.size + 1);
    if (!move) return [this.vkeys.at(-1) ?? trusted];
    if (size <= move.size) return [move.from];
    return move.kind === 'rotation' ? [move.from, move.to] : [move.to];
  }
}

/**
 * Reads the log's names and keys from the stored payloads of its own chain. They are taken as they stand: that they are what the
 * entries commit to is for `verify`.
 * @param wrong told of each event that replaces no key, with its log index
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

/** What the log was called before it went on under another name for the first time; null when it never did. */
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

/** @returns null for what is no payload, which `verify` finds elsewhere */
function eventIn(body: unknown, seq: number): LedgerEvent | null {
  try {
    return openEvent(splitPayload(body as Buffer).text, LOG_CHAIN, seq);
  } catch {
    return null;
  }
}

/** The log that an entry of this index names. @param names oldest first */
export function nameAt(names: readonly LogName[], index: number): string {
  return names.findLast(({ from }) => from <= index)?.origin ?? '';
}
