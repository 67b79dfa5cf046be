/**
 * One access record per reader, patient and hour (design 7). A record begins at its first read and lasts an hour.
 * Repeated reads of its chains in that hour are not recorded again, however often a page polls. A chain that no record
 * of the hour names is recorded when it is read, so no chain is ever left out. A record holds the instant and the
 * action of its first read.
 */
import type { AccessRecorded, RecentRead } from './state.js';

export type Read = AccessRecorded['data']['reads'][number];

const HOUR_MS = 60 * 60 * 1000;
/**
 * Limit on the chains that a state names, for all readers together: the state is decrypted and stored with every event
 * of the patient. The oldest records leave first and such reads are recorded again: too often, never too rarely.
 */
export const MOST_NAMED = 500;

const isWithin = ({ since }: RecentRead, at: string): boolean =>
  since <= at && Date.parse(at) < Date.parse(since) + HOUR_MS;

/** @returns the reads that no record of the hour names, earliest first, each with its new chains only */
export function unrecorded(recent: readonly RecentRead[], reads: readonly Read[]): Read[] {
  let known = recent;
  const found: Read[] = [];
  for (const read of reads.toSorted((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)))) {
    const named = new Set(known.find((one) => one.reader === read.reader.id && isWithin(one, read.at))?.chains);
    const chains = read.chains.filter((chain) => !named.has(chain));
    if (chains.length === 0) continue;
    found.push({ ...read, chains });
    known = withRead(known, read);
  }
  return found;
}

/**
 * @param reads as recorded
 * @param recordedAt RFC 3339; hours that were over by then are dropped
 */
export function withReads(recent: readonly RecentRead[], reads: readonly Read[], recordedAt: string): RecentRead[] {
  const running = reads.reduce<readonly RecentRead[]>(withRead, recent).filter((one) => isRunning(one, recordedAt));
  let room = MOST_NAMED;
  const kept = running.toReversed().flatMap((one) => {
    const chains = room > 0 ? one.chains.slice(-room) : [];
    room -= chains.length;
    return chains.length > 0 ? [{ ...one, chains }] : [];
  });
  return kept.toReversed();
}

const isRunning = ({ since }: RecentRead, now: string): boolean => Date.parse(now) < Date.parse(since) + HOUR_MS;

/** The reader recorded last comes last. */
function withRead(recent: readonly RecentRead[], { reader, at, chains }: Read): readonly RecentRead[] {
  const known = recent.find((one) => one.reader === reader.id);
  // A process that could not write may report late: then the known hour is the newer one.
  if (known && at < known.since) return recent;
  const others = recent.filter((one) => one !== known);
  if (!known || !isWithin(known, at)) return [...others, { reader: reader.id, since: at, chains: [...chains] }];
  return [...others, { ...known, chains: [...new Set([...known.chains, ...chains])] }];
}
