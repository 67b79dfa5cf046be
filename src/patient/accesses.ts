/**
 * The accesses to a patient's data as the patient sees them: newest first, read from the patient's chain page by page.
 */
import { z } from 'zod';
import type { LedgerEvent } from '../ledger/core/record/event.js';
import { actorShape } from '../identity/people.js';
import { isPatientEvent } from './evolve.js';

export const accessView = z
  .object({
    type: z.enum(['read', 'break-glass', 'disclosure']),
    at: z.string(),
    reader: actorShape,
    action: z.string().nullable(),
    chains: z.array(z.string()).describe('what was read'),
    reason: z.string().nullable(),
    until: z.string().nullable(),
    entry: z
      .object({
        index: z.number().int().describe('log index'),
        members: z.array(z.string()).describe('of its payload'),
        recipient: z.string().nullable().describe('to whom, in words; null: to the auditor'),
        auditor: z.string().nullable().describe('account or client id'),
      })
      .nullable()
      .describe('what was disclosed'),
  })
  .meta({ id: 'Access', title: 'Access' });

export type Access = z.output<typeof accessView>;
export interface AccessPage {
  readonly items: Access[];
  readonly next: string | null;
}

/** `<seq>.<n>`: the page begins at the n-th record, from 0, of the event at that position of the chain, or before it. */
export const ACCESS_POSITION = /^(\d{1,15})\.(\d{1,9})$/;

/** Limit on the events that one page reads. Not every event of a patient's chain is an access. */
export const LOOKED_THROUGH = 200;

/**
 * @param events of a patient's chain, newest first, without a gap
 * @param from number of the first event's records that were on the previous page
 * @param ended whether the chain begins with the last of them
 */
export function pageOfAccesses(
  events: readonly LedgerEvent[],
  { from, limit, ended }: { from: number; limit: number; ended: boolean },
): AccessPage {
  const items: Access[] = [];
  for (const [at, event] of events.entries()) {
    const skipped = at === 0 ? from : 0;
    const found = accessesIn(event).slice(skipped);
    const room = limit - items.length;
    items.push(...found.slice(0, room));
    if (found.length > room) return { items, next: `${event.seq}.${skipped + room}` };
  }
  const last = events.at(-1);
  return { items, next: ended || !last ? null : `${last.seq - 1}.0` };
}

/** Parses an {@link ACCESS_POSITION}; without one, starts at the newest event. */
export function positionOf(after: string | undefined): { seq: number; from: number } {
  const [, seq = Number.MAX_SAFE_INTEGER, from = 0] = ACCESS_POSITION.exec(after ?? '') ?? [];
  return { seq: Number(seq), from: Number(from) };
}

/** Newest first. */
function accessesIn(event: LedgerEvent): z.output<typeof accessView>[] {
  const { id, role, org } = event.actor;
  const told = { at: event.occurredAt, reader: { id, role, org }, action: null, chains: [], until: null, entry: null };
  if (!isPatientEvent(event)) return [];
  switch (event.type) {
    case 'access.recorded/1':
      return event.data.reads.map((read) => ({ ...told, type: 'read' as const, ...read, reason: null })).toReversed();
    case 'access.break-glass/1':
      return [{ ...told, type: 'break-glass', reason: event.data.reason, until: event.derived.until }];
    case 'access.disclosed/1': {
      const { index, chain, members, recipient, auditor, reason } = event.data;
      return [{ ...told, type: 'disclosure', chains: [chain], reason, entry: { index, members, recipient, auditor } }];
    }
    default:
      return [];
  }
}
