import type { JsonObject } from '../ledger/core/record/event.js';
import type { Medication, OrderImported } from '../prescription/events.js';
import { findDrug, RXNORM } from '../prescription/drugs/formulary.js';
import { daysSupplyOf, quantityOf, refillsOf } from './dispense-request.js';
import { dateTime, isModified, jsonFault, object, objects, text } from './fhir-values.js';
import {
  containedIn,
  type Found,
  indexed,
  type PatientRecord,
  type Ref,
  refOf,
  type ResourceIndex,
} from './index-of-resources.js';
import { issuerOf } from './issuer.js';
import type { Item } from './parse.js';
import { type ImportReason, Refusal } from './reasons.js';

/** An order that another system has issued. */
export interface HistoricalOrder {
  readonly patient: PatientRecord;
  /** Name of the issuing organisation; null when it is a practitioner or has no name. */
  readonly organisationName: string | null;
  /** Everything except the patient's id in this ledger. */
  readonly data: Omit<OrderImported['data'], 'patient'>;
}

export type OrderResult =
  | { readonly ok: true; readonly order: HistoricalOrder }
  | { readonly ok: false; readonly reason: ImportReason };

/** FHIR R4 medicationrequest-intent: the intents that authorise something. */
const ORDERS = new Set(['order', 'original-order', 'reflex-order', 'filler-order', 'instance-order']);
/** FHIR R4 medicationrequest-status, except `draft`. */
const STATUSES = new Set(['active', 'on-hold', 'cancelled', 'completed', 'entered-in-error', 'stopped', 'unknown']);
/** Longest order number; real systems exchange no longer ones. */
const NUMBER_LENGTH = 200;

/**
 * Converts a FHIR R4 MedicationRequest to a historical order: an imported fact, which cannot be claimed.
 * @param index all resources of all files of this import
 */
export function toHistoricalOrder(item: Item, index: ResourceIndex): OrderResult {
  const order = convert(item, index);
  return order instanceof Refusal ? { ok: false, reason: order.reason } : { ok: true, order };
}

function convert(item: Item, index: ResourceIndex): HistoricalOrder | Refusal {
  const { resource } = item;
  const fault = jsonFault(resource);
  if (fault) return new Refusal(fault);
  const sourceStatus = orderStatus(resource);
  if (sourceStatus instanceof Refusal) return sourceStatus;
  const lookUp = (ref: Ref): Found => {
    if (!ref.key.startsWith('#')) return index.find(ref);
    const inner = containedIn(resource, ref);
    return (inner && indexed(inner, item.file, null, true)) ?? 'unknown';
  };
  const patient = patientOf(item, lookUp);
  if (patient instanceof Refusal) return patient;
  const medication = medicationOf(item, lookUp);
  if (medication instanceof Refusal) return medication;
  const issuer = issuerOf(item, patient, lookUp);
  if (issuer instanceof Refusal) return issuer;
  const number = numberOf(item);
  if (!number) return new Refusal('import.no-number');
  const authoredOn = dateTime(resource['authoredOn']);
  if (authoredOn instanceof Refusal) return authoredOn;
  const dispense = object(resource['dispenseRequest']);
  const quantity = quantityOf(dispense?.['quantity']);
  if (quantity instanceof Refusal) return quantity;
  const daysSupply = daysSupplyOf(dispense?.['expectedSupplyDuration']);
  if (daysSupply instanceof Refusal) return daysSupply;
  const refills = refillsOf(dispense);
  if (refills instanceof Refusal) return refills;
  const directions = objects(resource['dosageInstruction']).flatMap((dosage) => text(dosage['text']) ?? []);
  return {
    patient,
    organisationName: issuer.organisationName,
    data: {
      issuer: issuer.id,
      number,
      medication,
      directions: directions.length > 0 ? directions.join('\n') : null,
      quantity,
      daysSupply,
      refills,
      authoredOn,
      sourceStatus,
      requester: issuer.requester,
      source: resource,
    },
  };
}

/** The status of a resource, or why it is not a given order. */
function orderStatus(resource: JsonObject): string | Refusal {
  if (isModified(resource)) return new Refusal('import.modifier');
  const intent = text(resource['intent']) ?? '';
  if (!ORDERS.has(intent) || resource['doNotPerform'] === true) return new Refusal('import.not-an-order');
  const status = text(resource['status']) ?? '';
  if (status === 'draft') return new Refusal('import.draft');
  return STATUSES.has(status) ? status : new Refusal('import.bad-status');
}

type LookUp = (ref: Ref) => Found;

function patientOf(item: Item, lookUp: LookUp): PatientRecord | Refusal {
  const ref = refOf(item.resource['subject'], item.file, 'Patient');
  if (!ref) return new Refusal('import.no-subject');
  if (/^(.*\/)?Group\//.test(ref.key)) return new Refusal('import.not-a-patient');
  const found = lookUp(ref);
  if (found === 'ambiguous') return new Refusal('import.ambiguous-reference');
  // A contained patient has no identity of its own (FHIR R4 References, 2.3.0.5).
  if (found === 'unknown' || ref.key.startsWith('#')) return new Refusal('import.unknown-patient');
  return found.type === 'Patient' ? found : new Refusal('import.not-a-patient');
}

function medicationOf(item: Item, lookUp: LookUp): Medication | Refusal {
  const inline = object(item.resource['medicationCodeableConcept']);
  const ref = refOf(item.resource['medicationReference'], item.file, 'Medication');
  if ((inline === null) === (ref === null)) return new Refusal('import.no-medication');
  let concept = inline;
  if (ref) {
    const found = lookUp(ref);
    if (found === 'ambiguous') return new Refusal('import.ambiguous-reference');
    if (found === 'unknown' || found.type !== 'Medication') return new Refusal('import.unknown-medication');
    concept = found.concept;
  }
  const codings = objects(concept?.['coding']).flatMap((coding) => {
    const system = text(coding['system']);
    const code = text(coding['code']);
    return system && code ? [{ system, code, display: text(coding['display']) }] : [];
  });
  const coding = codings.find(({ system }) => system === RXNORM) ?? codings[0];
  if (!coding) return new Refusal('import.no-medication-code');
  const { system, code } = coding;
  const known = system === RXNORM ? findDrug(code)?.name : undefined;
  return { system, code, display: coding.display ?? text(concept?.['text']) ?? known ?? code };
}

/** The first business identifier, else the resource's id. */
function numberOf({ resource, fullUrl }: Item): string | null {
  const own = objects(resource['identifier']).map((identifier) => text(identifier['value']));
  const urn = fullUrl?.startsWith('urn:uuid:') ? fullUrl.slice('urn:uuid:'.length) : null;
  const number = own.find((value) => value !== null) ?? text(resource['id']) ?? urn;
  return number && number.length <= NUMBER_LENGTH ? number : null;
}
