/**
 * How an actor stands to a chain, told from states: what the policy table is asked with. `related-chains.ts` tells the
 * same from read models, and a property test holds the two equal. Whoever changes a rule changes both.
 */
import type { Relation } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';
import type { Patient } from '../patient/state.js';
import { isCustodian } from '../prescription/queries.js';
import type { Prescription, Supply } from '../prescription/state.js';

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

/**
 * @param subject id of the subject whose data the chain holds: once a supply is matched, it is the patient's, whoever was
 * known when it was reported. Where only the state is at hand, the patient whom the report named.
 */
export function relationsToSupply(supply: Supply, actor: Actor, subject: string | null = supply.patient): Relation[] {
  if (actor.patient !== null) return subject === actor.patient ? ['own'] : [];
  return actor.role === 'pharmacist' && actor.org !== null && supply.pharmacy === actor.org ? ['holder'] : [];
}

/**
 * Through the patient's orders only: naming a patient in a report, or a number in a cancel, opens nothing.
 * @param prescriptions all of the patient
 */
export function relationsToPatient(patient: string, prescriptions: readonly Prescription[], actor: Actor): Relation[] {
  if (actor.patient !== null) return actor.patient === patient ? ['own'] : [];
  const orders = prescriptions.filter(({ order }) => order?.patient === patient);
  return [...new Set(orders.flatMap((rx) => relationsTo(rx, actor)))];
}

/** @returns whether break-glass of this actor still runs. @param now ms since 1970 */
export function isGranted({ grants }: Pick<Patient, 'grants'>, actor: Actor, now: number): boolean {
  return grants.some((grant) => grant.actor === actor.id && Date.parse(grant.until) > now);
}
