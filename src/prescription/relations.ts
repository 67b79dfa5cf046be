/** How an actor stands to a prescription or a supply: what the policy table is asked with. */
import type { Actor } from '../ledger/model.js';
import type { Relation } from '../identity/guard/policy.js';
import type { Prescription, Supply } from './state.js';
import { isCustodian } from './queries.js';

/** @param tokenHash base64 SHA-256 of a token that the actor showed; null: none */
export function relationsTo(rx: Prescription, actor: Actor, tokenHash: string | null = null): Relation[] {
  const relations: Relation[] = [];
  if (actor.patient !== null && rx.order?.patient === actor.patient) relations.push('own');
  if (actor.org === null) return relations;
  if (actor.role === 'prescriber' && rx.name.issuer === actor.org) relations.push('practice');
  if (actor.role === 'pharmacist') {
    if (isCustodian(rx, actor.org)) relations.push('holder');
    if (rx.order?.nominatedPharmacy === actor.org) relations.push('nominated');
    if (tokenHash !== null && rx.order?.tokenHash === tokenHash) relations.push('token');
  }
  return relations;
}

export function relationsToSupply(supply: Supply, actor: Actor): Relation[] {
  if (actor.patient !== null) return supply.patient === actor.patient ? ['own'] : [];
  return actor.role === 'pharmacist' && actor.org !== null && supply.pharmacy === actor.org ? ['holder'] : [];
}
