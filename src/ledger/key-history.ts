import type { Db } from '../database/db.js';
import { LOG_CHAIN } from './core/entry.js';
import { LOG_KEY_ROTATED, openRotation, type Rotation, RotationError } from './core/log-key-rotation.js';
import type { LedgerEvent } from './model.js';
import { openEvent, splitPayload } from './payload.js';

/** The keys of a log, one after the other, as the events of its own chain tell. */
export class KeyHistory {
  private readonly taken: Rotation[] = [];

  constructor(private readonly origin: string) {}

  /**
   * Takes an event of the log chain, in log order; one of another type says nothing here.
   * @returns what is wrong with it: then no key follows from it; null when nothing is
   */
  take(index: number, { type, data }: Pick<LedgerEvent, 'type' | 'data'>): string | null {
    if (type !== LOG_KEY_ROTATED) return null;
    try {
      const rotation = openRotation(data);
      if (rotation.origin !== this.origin) return 'replaces the key of another log';
      if (rotation.size !== index) return 'replaces the key at another place of the log';
      const last = this.taken.at(-1);
      if (last && last.to !== rotation.from) return 'replaces a key that was not in force';
      this.taken.push(rotation);
      return null;
    } catch (error) {
      if (error instanceof RotationError) return `replaces the key, but not as both keys sign: ${error.message}`;
      throw error;
    }
  }

  /** In log order. */
  get rotations(): readonly Rotation[] {
    return this.taken;
  }

  /** All keys, oldest first; none when there was no rotation: then the log's only key stands on no chain. */
  get vkeys(): readonly string[] {
    return this.taken.flatMap(({ from, to }, at) => (at === 0 ? [from, to] : [to]));
  }

  /** The key that signs now, for who trusts that one; a key that the log never had leads nowhere. */
  newest(trusted: string): string {
    return this.vkeys.includes(trusted) ? (this.vkeys.at(-1) ?? trusted) : trusted;
  }

  /** Who must have signed a checkpoint of that size: one key, or both where one took over from the other. */
  signersAt(size: number, trusted: string): readonly string[] {
    if (!this.vkeys.includes(trusted)) return [trusted];
    const next = this.taken.findIndex((rotation) => size <= rotation.size + 1);
    const rotation = this.taken[next];
    if (!rotation) return [this.newest(trusted)];
    return size === rotation.size + 1 ? [rotation.from, rotation.to] : [rotation.from];
  }
}

/**
 * Reads the log's keys from the stored payloads of its own chain. They are taken as they stand: that they are what the
 * entries commit to is for `verify`.
 * @param wrong told of each event that replaces no key, with its log index
 */
export async function readKeyHistory(
  db: Db,
  origin: string,
  wrong: (index: number, what: string) => void = () => undefined,
): Promise<KeyHistory> {
  const history = new KeyHistory(origin);
  const rows = await db.query<{ idx: number; seq: number; body: Buffer }>(
    `SELECT e.idx, e.seq, p.body FROM entry e JOIN payload p ON p.idx = e.idx
     WHERE e.chain = (SELECT num FROM chain WHERE id = ?) ORDER BY e.idx`,
    [LOG_CHAIN],
  );
  for (const { idx, seq, body } of rows) {
    const event = eventIn(body, seq);
    const fault = event && history.take(idx, event);
    if (fault) wrong(idx, fault);
  }
  return history;
}

/** @returns null for what is no payload, which `verify` finds elsewhere */
function eventIn(body: unknown, seq: number): LedgerEvent | null {
  try {
    return openEvent(splitPayload(body as Buffer).text, LOG_CHAIN, seq);
  } catch {
    return null;
  }
}
