/** Who may be given members of a payload, and what is recorded of it on the patient's chain. */
import type { DisclosureFault } from '../../ledger/core/record/disclosure.js';
import { accept, type Decision, refuse } from '../../ledger/model.js';
import type { AccessCleared, AccessDisclosed, Patient } from '../../patient/state.js';
import type { Context } from '../../prescription/context.js';
import type { NewEventOf } from '../../prescription/events.js';
import type { RefusalCode } from '../../refusals/refusals.js';

const DAY_MS = 24 * 60 * 60 * 1000;

const FAULTS: Readonly<Record<DisclosureFault, RefusalCode>> = {
  'member-unknown': 'disclosure.member-unknown',
  'signature-alone': 'disclosure.signature-alone',
};

export interface Clear {
  readonly data: AccessCleared['data'];
  readonly days: number;
  /** Why the payload cannot be disclosed so. */
  readonly fault: DisclosureFault | null;
}

/** @returns `access.cleared/1`, `derived.until` so many days from now */
export function decideClear({ data, days, fault }: Clear, { chain, now }: Context): Decision<RefusalCode> {
  if (fault) return refuse(FAULTS[fault]);
  const cleared: NewEventOf<AccessCleared> = {
    chain,
    type: 'access.cleared/1',
    data,
    derived: { until: new Date(now + days * DAY_MS).toISOString() },
  };
  return accept(cleared);
}

export interface Disclose {
  readonly data: AccessDisclosed['data'];
  /** Why the payload cannot be disclosed so; told only to who may have it. */
  readonly fault: DisclosureFault | null;
}

/**
 * An auditor takes what was cleared, in one clearance or in several; to others it is as if the entry did not exist.
 * Everybody else says to whom they give it; whether it is theirs to give, the caller has checked.
 * @returns `access.disclosed/1`
 */
export function decideDisclose(
  patient: Patient,
  { data, fault }: Disclose,
  { chain, now, actor }: Context,
): Decision<RefusalCode> {
  if (actor.role === 'auditor') {
    const cleared = patient.clearances
      .filter(({ auditor, index, until }) => auditor === actor.id && index === data.index && Date.parse(until) > now)
      .flatMap(({ members }) => members);
    if (cleared.length === 0) return refuse('ledger.chain-unknown');
    if (!data.members.every((name) => cleared.includes(name)))
      return refuse('disclosure.not-cleared', { cleared: [...new Set(cleared)].toSorted() });
  } else if (data.recipient === null) return refuse('disclosure.recipient-missing');
  if (fault) return refuse(FAULTS[fault]);
  const disclosed: NewEventOf<AccessDisclosed> = { chain, type: 'access.disclosed/1', data, derived: {} };
  return accept(disclosed);
}
