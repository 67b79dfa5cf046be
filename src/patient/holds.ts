/** Retention holds: why a patient's record may not be erased yet. They say nothing clinical. */
import type { LedgerEvent, Nothing } from '../ledger/core/record/event.js';

export const HOLD_REASONS = ['litigation', 'investigation', 'statutory-retention', 'audit'] as const;
/** Why a record is erased: codes that say nothing about the person. */
export const ERASE_REASONS = ['request', 'retention-over', 'order', 'enrolled-in-error'] as const;
export type EraseReason = (typeof ERASE_REASONS)[number];

export const HOLD_RELEASES = ['lifted', 'period-over', 'placed-in-error'] as const;

export type HoldPlaced = LedgerEvent<
  'hold.placed/1',
  {
    holdId: string;
    reason: (typeof HOLD_REASONS)[number];
    /** YYYY-MM-DD, the last day on which it is in force; null: until it is released. */
    until: string | null;
    /** Authority that demands the hold, for example a court with its file number; null: none. */
    authority: string | null;
  },
  Nothing
>;
export type HoldReleased = LedgerEvent<
  'hold.released/1',
  { holdId: string; reason: (typeof HOLD_RELEASES)[number] },
  Nothing
>;

export type Hold = HoldPlaced['data'] & { placedAt: string; releasedAt: string | null };

/** From the beginning of a day in UTC to the hour at which it has ended everywhere (UTC-12), ms. */
const DAY_EVERYWHERE_MS = 36 * 60 * 60 * 1000;

/** @param now ms since 1970. A day is over when it is over in every time zone, since a patient has no time zone. */
export function isInForce({ until, releasedAt }: Hold, now: number): boolean {
  return releasedAt === null && (until === null || now < Date.parse(until) + DAY_EVERYWHERE_MS);
}
