/** Retention holds and erasure: an administrator's decisions about a patient's record. */
import { accept, refuse, type Decision } from '../ledger/model.js';
import type { Context } from '../prescription/context.js';
import type { NewEventOf } from '../prescription/events.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { type Hold, type HoldPlaced, type HoldReleased, isInForce } from './holds.js';
import type { Patient } from './state.js';

/**
 * @param patient null or provisional: not enrolled, so there is no record to hold
 * @returns `hold.placed/1`; `ledger.chain-unknown`, `hold.until-past`
 */
export function decidePlaceHold(
  patient: Patient | null,
  command: HoldPlaced['data'],
  { chain, now, actor }: Context,
): Decision<RefusalCode> {
  if (actor.role !== 'administrator') return refuse('access.forbidden');
  if (!patient?.enrolledAt) return refuse('ledger.chain-unknown');
  if (!isInForce({ ...command, placedAt: '', releasedAt: null }, now)) return refuse('hold.until-past');
  const placed: NewEventOf<HoldPlaced> = { chain, type: 'hold.placed/1', data: { ...command }, derived: {} };
  return accept(placed);
}

/** @returns `hold.released/1`; `hold.unknown`, `hold.already-released` */
export function decideReleaseHold(
  patient: Patient,
  command: HoldReleased['data'],
  { chain, actor }: Context,
): Decision<RefusalCode> {
  if (actor.role !== 'administrator') return refuse('access.forbidden');
  const hold = patient.holds.find(({ holdId }) => holdId === command.holdId);
  if (!hold) return refuse('hold.unknown');
  if (hold.releasedAt !== null) return refuse('hold.already-released', { releasedAt: hold.releasedAt });
  const released: NewEventOf<HoldReleased> = { chain, type: 'hold.released/1', data: { ...command }, derived: {} };
  return accept(released);
}

/**
 * Whether the record may be erased. Repeated requests do not come here: an erased patient has no state.
 * @param patient null: never enrolled, or erased
 * @returns null when it may be erased
 */
export function decideErase(
  patient: Patient | null,
  { now, actor }: Omit<Context, 'chain'>,
): { readonly refusal: { readonly code: RefusalCode; readonly facts: { holds?: HoldFacts[] } } } | null {
  if (actor.role !== 'administrator') return { refusal: { code: 'access.forbidden', facts: {} } };
  if (!patient?.enrolledAt) return { refusal: { code: 'ledger.chain-unknown', facts: {} } };
  const holds = patient.holds
    .filter((hold) => isInForce(hold, now))
    // Leaves out the authority: it may reveal what a proceeding is about.
    .map(({ holdId, reason, until }) => ({ holdId, reason, until }));
  return holds.length > 0 ? { refusal: { code: 'patient.on-hold', facts: { holds } } } : null;
}

type HoldFacts = Pick<Hold, 'holdId' | 'reason' | 'until'>;
