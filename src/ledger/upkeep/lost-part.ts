import { equal } from '../core/bytes.js';
import { isCommitted, parsePayload } from '../core/record/commitment.js';
import { decodeEntry, type Entry, EntryError, LOG_CHAIN } from '../core/record/entry.js';
import type { LogClient } from '../core/tlog/log-client.js';
import { LOG_CONTINUED } from '../core/statements/continuation.js';
import { LOG_KEY_ROTATED } from '../core/statements/key-rotation.js';
import { ERASED } from '../store/chain-row.js';
import type { ChainModel, CommittedEvent } from '../model.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { openEvent, splitExported } from '../store/payload.js';
import { isMinuteOf } from '../verify/chain-rows.js';

/** Refused; the message tells the operator why. */
export class RestoreRefused extends Error {
  constructor(
    message: string,
    /** Log indexes of entries whose payloads were not found. */
    readonly missing: readonly number[] = [],
    /** Number of lost entries that earlier runs restored. */
    readonly written = 0,
  ) {
    super(message);
  }
}

/**
 * A payload (salt || payload) that some file claims for this entry. Untrusted: it counts only if the entry's commitment
 * matches it.
 */
export interface FoundPayload {
  readonly index: number;
  readonly bytes: Buffer;
  /**
   * The entry according to the file, for entries beyond the replica. Untrusted: the remembered root must confirm it.
   */
  readonly entry: Buffer | null;
}

/** A lost event, with everything that the writer stored for it. */
export interface LostEvent {
  readonly event: CommittedEvent;
  readonly entry: Uint8Array;
  readonly prev: Uint8Array;
  readonly leaf: Uint8Array;
  readonly salt: Buffer;
  readonly text: string;
}

interface LostEntry {
  readonly bytes: Uint8Array;
  readonly leaf: Uint8Array;
  readonly entry: Entry;
  opened: LostEvent | null;
}

/** Event types that are never restored, with the reason for the message. */
const NOT_RESTORED: Readonly<Record<string, string>> = {
  [ERASED]: 'is the erasure of a patient',
  [LOG_KEY_ROTATED]: "replaced the log's key",
  [LOG_CONTINUED]: 'gave the log another name',
};
const INSTEAD = 'that is not brought back; `rxledger log restart` goes on without what was lost';

/** The lost entries of a database, and the payloads found for them. */
export class LostPart {
  private constructor(
    /** Log index of the first lost entry. */
    private readonly from: number,
    /** Null: not found yet. */
    private readonly entries: (LostEntry | null)[],
  ) {}

  /**
   * @param client reads a replica of the log, at most up to `size`; null: there is none
   * @param size number of entries after the restore
   * @throws LogFileError; {@link RestoreRefused} for a malformed entry
   */
  static async read(
    client: LogClient | null,
    from: number,
    size: number,
    progress: (done: number) => void,
  ): Promise<LostPart> {
    const entries: (LostEntry | null)[] = [];
    if (client) {
      for await (const bundle of client.bundles(from)) {
        for (const [at, bytes] of bundle.entries.entries())
          entries.push({ bytes, leaf: bundle.leaves[at]!, entry: entryOf(bytes, bundle.first + at), opened: null });
        progress(entries.length);
      }
    }
    while (entries.length < size - from) entries.push(null);
    return new LostPart(from, entries);
  }

  /**
   * Keeps a payload that matches its entry's commitment, with the file's entry when no replica has it. Ignores all
   * others.
   */
  offer({ index, bytes, entry }: FoundPayload): void {
    const at = index - this.from;
    if (!(at >= 0 && at < this.entries.length)) return;
    const lost = this.entries[at] ?? keptBeside(entry);
    if (!lost || lost.opened) return;
    const { salt, text } = splitExported(bytes);
    const { chain, seq, prev, commitment } = lost.entry;
    if (!isPayload(commitment, salt, text)) return;
    const event = { index, ...openEvent(text, chain, seq) };
    lost.opened = { event, entry: lost.bytes, prev, leaf: lost.leaf, salt, text };
    this.entries[at] = lost;
  }

  /**
   * All events in log order.
   * @param log the name that the entries must carry
   * @param time of the last entry before them, ms
   * @throws {RestoreRefused} when one is missing, cannot be restored, or is not one that the writer makes
   */
  events(log: string, time: number): readonly LostEvent[] {
    const known = this.entries.flatMap((lost) => lost?.opened ?? []);
    // Must come before the check for missing payloads: exports do not hold erased ones.
    for (const { event } of known) {
      const reason = Object.hasOwn(NOT_RESTORED, event.type) ? NOT_RESTORED[event.type] : undefined;
      if (reason) throw new RestoreRefused(`entry ${event.index} ${reason}: ${INSTEAD}`);
    }
    const missing = this.entries.flatMap((lost, at) => (lost?.opened ? [] : [this.from + at]));
    if (missing.length > 0) throw new RestoreRefused(inWords(missing, this.entries.length), missing);
    this.mustFollow(known, log, time);
    return known;
  }

  private mustFollow(known: readonly LostEvent[], log: string, time: number): void {
    let last = time;
    for (const { event, entry: bytes } of known) {
      const entry = entryOf(bytes, event.index);
      const wrong = (what: string) => new RestoreRefused(`entry ${event.index} ${what}`);
      if (entry.log !== log) throw wrong('names another log');
      if ((event.kind === 'log') !== (event.chain === LOG_CHAIN)) throw wrong('is of a kind that its chain is not');
      const now = Date.parse(event.recordedAt);
      if (!isMinuteOf(entry.time, event.recordedAt) || Number.isNaN(now))
        throw wrong('has a time at which its payload was not recorded');
      if (now < last) throw wrong('has a time before that of the entry before it');
      last = now;
    }
  }
}

/**
 * The provisional subjects that the events name, by chain. The first name of a chain counts: later the chain may belong
 * to another subject.
 */
export function subjectsOfOthers(
  events: readonly LostEvent[],
  models: ReadonlyMap<string, ChainModel>,
): ReadonlyMap<string, string> {
  const subjects = new Map<string, string>();
  for (const { event } of events) {
    const said = models.get(event.kind)?.subjectOfOther?.(event);
    if (said && !subjects.has(said.chain)) subjects.set(said.chain, said.subject);
  }
  return subjects;
}

function entryOf(bytes: Uint8Array, index: number): Entry {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (error instanceof EntryError) throw new RestoreRefused(`entry ${index} is not an entry`);
    throw error;
  }
}

/** A replica lacks the last entries, which were not published yet. Their authors have them in receipts. */
function keptBeside(bytes: Buffer | null): LostEntry | null {
  try {
    return bytes && { bytes, leaf: nodeHasher.leaf(bytes), entry: decodeEntry(bytes), opened: null };
  } catch (error) {
    if (error instanceof EntryError) return null;
    throw error;
  }
}

/** Anything malformed is simply not the entry's payload. */
function isPayload(commitment: Uint8Array, salt: Buffer, text: string): boolean {
  try {
    return isCommitted(nodeHasher, commitment, salt, parsePayload(text));
  } catch {
    return false;
  }
}

/** Limit on the indexes that a message lists. */
const LISTED = 10;

function inWords(missing: readonly number[], lost: number): string {
  const more = missing.length > LISTED ? ', …' : '';
  return `no file holds the payload of ${missing.length} of the ${lost} lost entries: index ${missing.slice(0, LISTED).join(', ')}${more}`;
}

/** Whether an event is the next one of its chain. */
export const isNext = (lost: LostEvent, head: { readonly seq: number; readonly leaf: Uint8Array }): boolean =>
  lost.event.seq === head.seq + 1 && equal(lost.prev, head.leaf);
