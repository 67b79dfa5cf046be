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

/** The log cannot be restored, or not as things are. The message says why, for whoever runs it. */
export class RestoreRefused extends Error {
  constructor(
    message: string,
    /** Log indexes of the entries whose payloads nobody has. */
    readonly missing: readonly number[] = [],
    /** Lost entries that were brought back before. */
    readonly written = 0,
  ) {
    super(message);
  }
}

/** salt || payload of an entry, as a file says: whether it is, the entry tells. */
export interface FoundPayload {
  readonly index: number;
  readonly bytes: Buffer;
  /** The entry as the file has it: for what no replica has. Whether it is, the root tells. */
  readonly entry: Buffer | null;
}

/** An event that the database does not hold, with what the writer stored of it. */
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

/** What is not brought back, and why. */
const NOT_RESTORED: Readonly<Record<string, string>> = {
  [ERASED]: 'is the erasure of a patient',
  [LOG_KEY_ROTATED]: "replaced the log's key",
  [LOG_CONTINUED]: 'gave the log another name',
};
const INSTEAD = 'that is not brought back; `rxledger log restart` goes on without what was lost';

/** The entries behind the end of a database that was set back, and their payloads as files give them. */
export class LostPart {
  private constructor(
    /** Log index of the first of them. */
    private readonly from: number,
    /** Null: not known yet. */
    private readonly entries: (LostEntry | null)[],
  ) {}

  /**
   * @param client of a checkpoint of the log, up to the one up to which it is restored; null: there is none
   * @param size up to which it is restored
   * @throws LogFileError; {@link RestoreRefused} for what is no entry
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
   * Takes a payload that is what its entry commits to, and an entry that no replica has with it; any other is passed
   * over.
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
   * @param log the name that their entries carry
   * @param time of the last entry before them, ms
   * @throws {RestoreRefused} when one is not known, cannot be brought back or is none that the writer makes
   */
  events(log: string, time: number): readonly LostEvent[] {
    const known = this.entries.flatMap((lost) => lost?.opened ?? []);
    // Before what is missing: payloads that were erased are in no export.
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
 * What the events give away of provisional subjects, by chain. The first that is said of a chain counts: later it may
 * have become another's.
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

/** The last entries before the loss are in no replica, which has what was published; who wrote them has them. */
function keptBeside(bytes: Buffer | null): LostEntry | null {
  try {
    return bytes && { bytes, leaf: nodeHasher.leaf(bytes), entry: decodeEntry(bytes), opened: null };
  } catch (error) {
    if (error instanceof EntryError) return null;
    throw error;
  }
}

/** Whatever a file holds in its place is no payload of the entry. */
function isPayload(commitment: Uint8Array, salt: Buffer, text: string): boolean {
  try {
    return isCommitted(nodeHasher, commitment, salt, parsePayload(text));
  } catch {
    return false;
  }
}

/** Indexes that a message lists. */
const LISTED = 10;

function inWords(missing: readonly number[], lost: number): string {
  const more = missing.length > LISTED ? ', …' : '';
  return `of ${missing.length} of the ${lost} lost entries no file holds the payload: index ${missing.slice(0, LISTED).join(', ')}${more}`;
}

/** Whether an event is the next one of its chain. */
export const isNext = (lost: LostEvent, head: { readonly seq: number; readonly leaf: Uint8Array }): boolean =>
  lost.event.seq === head.seq + 1 && equal(lost.prev, head.leaf);
