/** Decides the event on the patient's chain that records a disclosure. */
import type { DisclosureFault } from '../../ledger/core/record/disclosure.js';
import { accept, type Decision, refuse } from '../../ledger/model.js';
import type { AccessDisclosed } from '../../patient/state.js';
import type { Context } from '../../prescription/context.js';
import type { NewEventOf } from '../../prescription/events.js';
import type { RefusalCode } from '../../refusals/refusals.js';

const FAULTS: Readonly<Record<DisclosureFault, RefusalCode>> = {
  'member-unknown': 'disclosure.member-unknown',
  'signature-alone': 'disclosure.signature-alone',
};

export interface Disclose {
  readonly data: AccessDisclosed['data'];
  /** Why these members cannot be disclosed; null when they can. */
  readonly fault: DisclosureFault | null;
}

/**
 * A disclosure is given either to somebody outside, named in words, or to an auditor's account. The caller must have
 * checked that the actor may disclose it, and that the auditor exists.
 * @returns `access.disclosed/1`
 */
export function decideDisclose({ data, fault }: Disclose, { chain }: Pick<Context, 'chain'>): Decision<RefusalCode> {
  if ((data.recipient === null) === (data.auditor === null)) return refuse('disclosure.recipient-missing');
  if (fault) return refuse(FAULTS[fault]);
  const disclosed: NewEventOf<AccessDisclosed> = { chain, type: 'access.disclosed/1', data, derived: {} };
  return accept(disclosed);
}
