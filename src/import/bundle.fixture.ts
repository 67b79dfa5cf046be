import type { JsonObject } from '../ledger/core/record/event.js';

export type Resource = JsonObject & { resourceType: string; id: string };

/** All people here are invented. */
export const ids = {
  patient: 'a3f1c1de-0d55-4a7e-8a53-0c5d7c0f7d11',
  organisation: '0b9c3f36-6a55-4d0e-9a3f-5f5f0b1f2c22',
  practitioner: '5d2f7f57-8d6f-4b0f-93c5-2a8f3f4d3e33',
  encounter: '9e4a6f0e-4f9b-4f2c-8f2b-7c6d5e4f4444',
  order: 'c6b5a4d3-1e2f-4a3b-8c4d-5e6f7a8b9c55',
};

export const patient: Resource = {
  resourceType: 'Patient',
  id: ids.patient,
  identifier: [
    { system: 'https://clinic.example/mrn', value: 'M-100' },
    { system: 'https://state.example/id', value: 'S-200' },
    { value: 'without a system' },
  ],
  name: [{ family: 'Maiden' }, { use: 'official', prefix: ['Mrs.'], given: ['Ada', 'M.'], family: 'Sample' }],
  birthDate: '1970-02-28',
  address: [{ line: ['1 Test Road'], city: 'Springfield', state: 'MA', postalCode: '01101', country: 'US' }],
};
export const organisation: Resource = { resourceType: 'Organization', id: ids.organisation, name: 'Test Clinic' };
export const practitioner: Resource = {
  resourceType: 'Practitioner',
  id: ids.practitioner,
  name: [{ given: ['Grace'], family: 'Tester', prefix: ['Dr.'] }],
};
export const encounter: Resource = {
  resourceType: 'Encounter',
  id: ids.encounter,
  serviceProvider: { reference: `urn:uuid:${ids.organisation}` },
};

export function order(change: JsonObject = {}): Resource {
  return {
    resourceType: 'MedicationRequest',
    id: ids.order,
    status: 'active',
    intent: 'order',
    medicationCodeableConcept: {
      coding: [
        { system: 'http://hl7.org/fhir/sid/ndc', code: '0000-0000-00' },
        {
          system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
          code: '314076',
          display: 'lisinopril 10 MG Oral Tablet',
        },
      ],
    },
    subject: { reference: `urn:uuid:${ids.patient}` },
    encounter: { reference: `urn:uuid:${ids.encounter}` },
    authoredOn: '2020-01-02T03:04:05+01:00',
    requester: { reference: `urn:uuid:${ids.practitioner}` },
    dosageInstruction: [{ text: 'One in the morning.' }, { sequence: 2 }, { text: 'None at night.' }],
    dispenseRequest: {
      quantity: {
        value: 30,
        unit: 'TAB',
        system: 'http://terminology.hl7.org/CodeSystem/v3-orderableDrugForm',
        code: 'TAB',
      },
      expectedSupplyDuration: { value: 30, unit: 'days', system: 'http://unitsofmeasure.org', code: 'd' },
      numberOfRepeatsAllowed: 2,
    },
    ...change,
  };
}

/** A transaction Bundle in the form of Synthea's. */
export function bundle(...resources: Resource[]): string {
  const entry = resources.map((resource) => ({
    fullUrl: `urn:uuid:${resource.id}`,
    resource,
    request: { method: 'POST', url: resource.resourceType },
  }));
  return JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry }, null, 2);
}
