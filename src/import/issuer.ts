import type { Found, Indexed, Party, PatientRecord, Ref } from './index-of-resources.js';
import { refOf, uuidOf } from './index-of-resources.js';
import type { Item } from './parse.js';
import { Refusal } from './reasons.js';

export interface Issuer {
  /** UUID of the organisation, or of the practitioner when no organisation is named. */
  readonly id: string;
  /** Name of the organisation; null when it is a practitioner or has no name. */
  readonly organisationName: string | null;
  /** Name of the requester as in the source. */
  readonly requester: string | null;
}

type LookUp = (ref: Ref) => Found;

/**
 * The issuer of an order: the first of these that can be identified. The requester's organisation (the requester
 * itself, or a PractitionerRole's), the encounter's service provider, the patient's managing organisation, the
 * practitioner. An order is identified by its issuer, so import files that belong together in one run.
 */
export function issuerOf(item: Item, patient: PatientRecord, lookUp: LookUp): Issuer | Refusal {
  const { resource, file } = item;
  const requesterRef = refOf(resource['requester'], file, 'Practitioner');
  const found = resolve(requesterRef, lookUp);
  if (found instanceof Refusal) return found;
  const role = found?.type === 'PractitionerRole' ? found : null;
  const practitionerRef = role ? role.practitioner : requesterRef;
  const practitioner = role ? resolve(role.practitioner, lookUp) : found;
  if (practitioner instanceof Refusal) return practitioner;
  const encounter = resolve(refOf(resource['encounter'], file, 'Encounter'), lookUp);
  if (encounter instanceof Refusal) return encounter;

  const requester =
    (practitioner && 'name' in practitioner ? practitioner.name : null) ?? requesterRef?.display ?? null;
  const named = [
    requesterRef && isOrganisation(requesterRef, found) ? requesterRef : null,
    role?.organisation,
    encounter?.type === 'Encounter' ? encounter.organisation : null,
    patient.organisation,
  ].filter((ref) => ref !== null && ref !== undefined);
  for (const ref of named) {
    const resolved = resolve(ref, lookUp);
    if (resolved instanceof Refusal) return resolved;
    const organisation = partyOf(resolved, 'Organization');
    const id = organisation?.id ?? uuidOf(ref, 'Organization', true);
    if (id) return { id, organisationName: organisation?.name ?? ref.display, requester };
  }
  const person =
    partyOf(practitioner, 'Practitioner')?.id ?? (practitionerRef && uuidOf(practitionerRef, 'Practitioner', false));
  if (person) return { id: person, organisationName: null, requester };
  if (named.length > 0) return new Refusal('import.unknown-organisation');
  return new Refusal(requesterRef ? 'import.unknown-requester' : 'import.no-requester');
}

function isOrganisation(ref: Ref, found: Indexed | null): boolean {
  return found ? found.type === 'Organization' : /(^|\/)Organization[/?]/.test(ref.key);
}

function resolve(ref: Ref | null, lookUp: LookUp): Indexed | null | Refusal {
  const found = ref ? lookUp(ref) : 'unknown';
  if (found === 'ambiguous') return new Refusal('import.ambiguous-reference');
  return found === 'unknown' ? null : found;
}

function partyOf(found: Indexed | null, type: Party['type']): Party | null {
  return found && found.type === type && 'name' in found ? found : null;
}
