/** A supply without a known order turns out to belong to one (design 2). */
import { accept, refuse, type Decision } from '../ledger/model.js';
import type { Context } from '../prescription/context.js';
import type { NewEventOf, SupplyMatched } from '../prescription/events.js';
import type { Prescription, Supply } from '../prescription/state.js';
import type { RefusalCode } from '../refusals/refusals.js';
import { relationsTo, relationsToSupply } from '../prescription/relations.js';

/**
 * Says that a supply was for this prescription. What was handed over stays where it was recorded: reconciliation
 * reads a prescription's book together with the supplies that are matched to it, so no second event tells it again.
 * @param rx what it is matched to; the actor needs a relation to both
 * @param ctx `chain` is the supply's
 * @returns `supply.matched/1`
 */
export function decideMatch(supply: Supply, rx: Prescription, ctx: Context): Decision<RefusalCode> {
  const { actor, chain } = ctx;
  const related = relationsToSupply(supply, actor).length > 0 && relationsTo(rx, actor).length > 0;
  if (!related || rx.order === null) return refuse('ledger.chain-unknown');
  if (supply.matchedTo !== null) return refuse('supply.already-matched', { prescription: supply.matchedTo });
  if (supply.patient !== null && supply.patient !== rx.order.patient) return refuse('supply.other-patient');
  const matched: NewEventOf<SupplyMatched> = {
    chain,
    type: 'supply.matched/1',
    data: { prescription: rx.id },
    derived: {},
  };
  return accept(matched);
}
