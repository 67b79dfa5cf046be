import type { JsonObject } from '../ledger/core/record/event.js';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundle, encounter, ids, order, organisation, patient, practitioner, type Resource } from './bundle.fixture.js';
import { ResourceIndex } from './index-of-resources.js';
import { type OrderResult, toHistoricalOrder } from './order.js';
import { isItem, type Item, parseImport } from './parse.js';
import { sharedPath } from '../../test/support/shared.js';
import { toEnrolment } from './patient.js';

const everybody = [patient, organisation, practitioner, encounter];

function items(content: string, file = 'f.json'): Item[] {
  return [...parseImport(content, file)].filter(isItem);
}

/** The result for the last resource, given the others. */
function given(...resources: Resource[]): OrderResult {
  const all = items(bundle(...resources));
  const index = new ResourceIndex();
  for (const item of all) index.add(item);
  return toHistoricalOrder(all.at(-1) as Item, index);
}

function ndjson(...resources: JsonObject[]): string {
  return resources.map((resource) => JSON.stringify(resource)).join('\n');
}

function elsewhere(reference: string): JsonObject {
  return { medicationCodeableConcept: null, medicationReference: { reference } };
}

function enrolment(change: JsonObject) {
  return toEnrolment(items(bundle({ ...patient, ...change }))[0] as Item);
}

function orderOf(result: OrderResult) {
  if (!result.ok) throw new Error(result.reason);
  return result.order;
}

describe('toHistoricalOrder', () => {
  it('keeps what the source says', () => {
    const { data, organisationName, patient: record } = orderOf(given(...everybody, order()));
    expect(data).toEqual({
      issuer: ids.organisation,
      number: ids.order,
      medication: {
        system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
        code: '314076',
        display: 'lisinopril 10 MG Oral Tablet',
      },
      directions: 'One in the morning.\nNone at night.',
      quantity: { value: '30', unit: '{tablet}' },
      daysSupply: 30,
      refills: 2,
      authoredOn: '2020-01-02T03:04:05+01:00',
      sourceStatus: 'active',
      requester: 'Dr. Grace Tester',
      source: order(),
    });
    expect(organisationName).toBe('Test Clinic');
    expect(record.identifiers).toHaveLength(2);
  });

  it('says nothing that the source does not say', () => {
    const bare = order();
    for (const name of ['dosageInstruction', 'dispenseRequest', 'authoredOn']) delete bare[name];
    const { data } = orderOf(given(...everybody, bare));
    expect(data).toMatchObject({ directions: null, quantity: null, daysSupply: null, refills: null, authoredOn: null });
  });

  describe('issuer', () => {
    const role = {
      resourceType: 'PractitionerRole',
      id: '1f0e9d8c-7b6a-4958-8776-655443322110',
      practitioner: { reference: `Practitioner/${ids.practitioner}` },
      organization: { reference: 'Organization?identifier=https://org.example|77' },
    };
    const other = {
      resourceType: 'Organization',
      id: 'other',
      identifier: [{ system: 'https://org.example', value: '77' }],
      name: 'Other Clinic',
    };
    const issuerNamed = (id: string, name: string) =>
      orderOf(given(patient, { ...other, id, name }, order({ requester: { reference: `Organization/${id}` } }))).data
        .issuer;

    it('is the organisation of a practitioner role first', () => {
      const found = orderOf(
        given(...everybody, role, other, order({ requester: { reference: `urn:uuid:${role.id}` } })),
      );
      expect(found.organisationName).toBe('Other Clinic');
      expect(found.data.issuer).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab]/);
      expect(found.data.requester).toBe('Dr. Grace Tester');
    });

    it('is the requester where it is an organisation, even one in no file that has a UUID', () => {
      const known = orderOf(
        given(...everybody, order({ requester: { reference: `Organization/${ids.organisation}` } })),
      );
      expect(known.data).toMatchObject({ issuer: ids.organisation, requester: 'Test Clinic' });
      const unknown = { reference: 'Organization/1f0e9d8c-7b6a-4958-8776-655443322110', display: 'Far Clinic' };
      const found = orderOf(given(...everybody, order({ requester: unknown })));
      expect(found).toMatchObject({
        organisationName: 'Far Clinic',
        data: { issuer: '1f0e9d8c-7b6a-4958-8776-655443322110' },
      });
    });

    it('is the managing organisation of the patient without an encounter', () => {
      const managed = { ...patient, managingOrganization: { reference: `Organization/${ids.organisation}` } };
      expect(orderOf(given(managed, organisation, practitioner, order({ encounter: null }))).data.issuer).toBe(
        ids.organisation,
      );
    });

    it('is the practitioner where no organisation is named, also when the encounter is in no file', () => {
      for (const resource of [order({ encounter: null }), order()]) {
        const found = orderOf(given(patient, practitioner, resource));
        expect(found).toMatchObject({ organisationName: null, data: { issuer: ids.practitioner } });
      }
    });

    it('is the same UUID for the same identifier in another import', () => {
      expect(issuerNamed('7', 'A')).toBe(issuerNamed('8', 'B'));
      expect(issuerNamed('7', 'A')).toBe('61d498f4-b465-5227-887d-9edcb455e465');
    });

    it('keeps organisations apart that have nothing but a local id', () => {
      const [north, south] = ['North', 'South'].map((name) =>
        orderOf(
          given(
            patient,
            { resourceType: 'Organization', id: '1', name },
            order({ requester: { reference: 'Organization/1' } }),
          ),
        ),
      );
      expect(north?.data.issuer).not.toBe(south?.data.issuer);
    });
  });

  it('takes the first identifier as number, else the id', () => {
    const identifier: JsonObject[] = [{ system: 'https://x.example' }, { value: 'RX-1' }, { value: 'RX-2' }];
    expect(orderOf(given(...everybody, order({ identifier }))).data.number).toBe('RX-1');
  });

  it('finds a medication in its own resource, contained or beside', () => {
    const code = { coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '857005' }] };
    const medication = { resourceType: 'Medication', id: 'm1', code };
    const inside = orderOf(given(...everybody, order({ ...elsewhere('#m1'), contained: [medication] }))).data
      .medication;
    const beside = orderOf(given(...everybody, medication, order(elsewhere('Medication/m1')))).data.medication;
    expect(inside).toEqual(beside);
    expect(inside.display).toBe('acetaminophen 325 MG / hydrocodone bitartrate 7.5 MG Oral Tablet');
  });

  const refusals: [reason: string, change: JsonObject][] = [
    ['import.not-an-order', { intent: 'plan' }],
    ['import.not-an-order', { doNotPerform: true }],
    ['import.draft', { status: 'draft' }],
    ['import.bad-status', { status: 'finished' }],
    ['import.modifier', { modifierExtension: [{ url: 'https://x.example', valueBoolean: true }] }],
    ['import.modifier', { implicitRules: 'https://x.example' }],
    ['import.no-subject', { subject: { display: 'Ada Sample' } }],
    ['import.not-a-patient', { subject: { reference: 'Group/1' } }],
    ['import.not-a-patient', { subject: { reference: `Organization/${ids.organisation}` } }],
    ['import.unknown-patient', { subject: { reference: 'Patient/1' } }],
    ['import.unknown-patient', { subject: { reference: '#p' }, contained: [{ resourceType: 'Patient', id: 'p' }] }],
    ['import.no-medication', { medicationCodeableConcept: 'lisinopril' }],
    ['import.no-medication', { medicationReference: { reference: 'Medication/1' } }],
    ['import.no-medication-code', { medicationCodeableConcept: { text: 'lisinopril' } }],
    ['import.unknown-medication', { medicationCodeableConcept: null, medicationReference: { reference: '#1' } }],
    ['import.no-requester', { encounter: null, requester: null }],
    ['import.unknown-requester', { encounter: null, requester: { reference: 'Practitioner/1' } }],
    ['import.unknown-organisation', { encounter: null, requester: { reference: 'Organization/nowhere' } }],
    ['import.unknown-organisation', { encounter: null, requester: { reference: 'urn:uuid:role' } }],
    ['import.no-number', { identifier: [{ value: '9'.repeat(201) }] }],
    ['import.bad-date', { authoredOn: '2021-02-29' }],
    ['import.bad-date', { authoredOn: 'yesterday' }],
    ['import.bad-quantity', { dispenseRequest: { quantity: { value: -1 } } }],
    ['import.bad-quantity', { dispenseRequest: { quantity: { value: '30' } } }],
    ['import.bad-quantity', { dispenseRequest: { quantity: { value: 30, comparator: '<' } } }],
    ['import.bad-days-supply', { dispenseRequest: { expectedSupplyDuration: { value: 0 } } }],
    ['import.bad-refills', { dispenseRequest: { numberOfRepeatsAllowed: 1.5 } }],
    ['import.bad-text', { note: [{ text: 'a\0b' }] }],
    ['import.bad-text', { note: [{ text: '\uD800' }] }],
  ];
  it.each(refusals)('refuses: %s %j', (reason, change) => {
    const role = {
      resourceType: 'PractitionerRole',
      id: 'role',
      organization: { reference: 'Organization/nowhere' },
    };
    expect(given(...everybody, role, order(change))).toEqual({ ok: false, reason });
  });

  it('refuses numbers and nesting that no JSON system agrees on', () => {
    const number = items(bundle(...everybody, order({ x: 1 })).replace('"x": 1', '"x": 1e999'));
    const deep = items(
      bundle(...everybody, order({ x: 1 })).replace('"x": 1', `"x": ${'['.repeat(500)}${']'.repeat(500)}`),
    );
    expect(toHistoricalOrder(number.at(-1) as Item, new ResourceIndex())).toEqual({
      ok: false,
      reason: 'import.bad-number',
    });
    expect(toHistoricalOrder(deep.at(-1) as Item, new ResourceIndex())).toEqual({
      ok: false,
      reason: 'import.too-deep',
    });
  });

  it.each([
    [
      { value: 0.5, code: 'mL', system: 'http://unitsofmeasure.org' },
      { value: '0.5', unit: 'mL' },
    ],
    [
      { value: 28, code: '{Tablets}', system: 'http://unitsofmeasure.org' },
      { value: '28', unit: '{tablet}' },
    ],
    [
      { value: 28, unit: 'capsules' },
      { value: '28', unit: '{capsule}' },
    ],
    [{ value: 28, unit: 'boxes' }, null],
    [{ value: 28 }, null],
    [{ unit: 'TAB' }, null],
  ])('quantity %j is %j', (quantity, expected) => {
    expect(orderOf(given(...everybody, order({ dispenseRequest: { quantity } }))).data.quantity).toEqual(expected);
  });

  it.each([
    [{ value: 4, code: 'wk', system: 'http://unitsofmeasure.org' }, 28],
    [{ value: 1, code: 'mo', system: 'http://unitsofmeasure.org' }, null],
    [{ value: 1.5, code: 'd', system: 'http://unitsofmeasure.org' }, null],
    [{ value: 30, unit: 'days' }, null],
  ])('supply of %j is %j days', (expectedSupplyDuration, expected) => {
    expect(orderOf(given(...everybody, order({ dispenseRequest: { expectedSupplyDuration } }))).data.daysSupply).toBe(
      expected,
    );
  });

  it('looks a local reference up in its own file first, and refuses it where two other files differ', () => {
    const asked = order({
      subject: { reference: 'Patient/1' },
      requester: { reference: `Practitioner/${ids.practitioner}` },
    });
    const mine = { ...patient, id: '1' };
    const theirs = { resourceType: 'Patient', id: '1', identifier: [{ system: 'https://x.example', value: '9' }] };
    const index = new ResourceIndex();
    const a = items(ndjson(mine, asked), 'a.ndjson');
    const b = items(ndjson(theirs, theirs), 'b.ndjson');
    const c = items(ndjson(asked, practitioner), 'c.ndjson');
    for (const item of [...a, ...b, ...c]) index.add(item);
    expect(orderOf(toHistoricalOrder(a[1] as Item, index)).patient.identifiers[0]?.value).toBe('M-100');
    expect(toHistoricalOrder(c[0] as Item, index)).toEqual({ ok: false, reason: 'import.ambiguous-reference' });
  });
});

describe('toEnrolment', () => {
  it('keeps what the source says', () => {
    expect(enrolment({})).toEqual({
      ok: true,
      data: {
        name: 'Mrs. Ada M. Sample',
        birthDate: '1970-02-28',
        identifiers: [
          { system: 'https://clinic.example/mrn', value: 'M-100' },
          { system: 'https://state.example/id', value: 'S-200' },
        ],
        address: '1 Test Road, Springfield, MA 01101, US',
        source: patient,
      },
    });
  });

  it('gives a patient without identifiers one by which they are found again', () => {
    expect(enrolment({ identifier: [] })).toMatchObject({
      data: { identifiers: [{ system: 'urn:ietf:rfc:3986', value: `urn:uuid:${ids.patient}` }] },
    });
    const local = { ...patient, identifier: [], id: '1' };
    const [first, again, other] = ndjson(local, local, { ...local, birthDate: '1970-03-01' })
      .split('\n')
      .map((line) => toEnrolment(items(line)[0] as Item));
    expect(first).toMatchObject({ ok: true, data: { identifiers: [{ system: 'urn:ietf:rfc:3986' }] } });
    expect(first).toEqual(again);
    expect(first).not.toMatchObject({ data: { identifiers: other?.ok ? other.data.identifiers : [] } });
  });

  it.each([
    ['1970-02', null],
    ['1970', null],
  ])('keeps no birth date that is only %s', (birthDate, expected) => {
    expect(enrolment({ birthDate })).toMatchObject({ ok: true, data: { birthDate: expected } });
  });

  it.each([
    ['import.bad-birth-date', { birthDate: '1970-02-30' }],
    ['import.bad-birth-date', { birthDate: 19700228 }],
    ['import.modifier', { modifierExtension: [] }],
  ])('refuses: %s %j', (reason, change) => {
    expect(enrolment(change)).toEqual({ ok: false, reason });
  });
});

const shared = sharedPath('fhir');

describe('published data (needs ../shared/fhir)', () => {
  const folder = (name: string) => {
    const path = join(shared, name);
    return readdirSync(path).flatMap((file) => items(readFileSync(join(path, file), 'utf8'), file));
  };

  it.skipIf(!existsSync(shared))('Synthea: 25 orders of hospitals, by name of their practitioners', () => {
    const all = folder('synthea');
    const index = new ResourceIndex();
    for (const item of all) index.add(item);
    const orders = all
      .filter(({ type }) => type === 'MedicationRequest')
      .map((item) => orderOf(toHistoricalOrder(item, index)));
    expect(orders).toHaveLength(25);
    expect(new Set(orders.map(({ data }) => data.number)).size).toBe(25);
    expect(orders.every(({ organisationName, data }) => organisationName && data.requester && data.authoredOn)).toBe(
      true,
    );
    expect(new Set(orders.map(({ patient: record }) => JSON.stringify(record.identifiers))).size).toBe(2);
  });

  it.skipIf(!existsSync(shared))('HL7 examples: each is mapped or refused with a reason', () => {
    const all = folder('hl7-r4');
    const index = new ResourceIndex();
    for (const item of all) index.add(item);
    const results = all
      .filter(({ type }) => type === 'MedicationRequest')
      .map((item) => toHistoricalOrder(item, index));
    expect(results).toHaveLength(40);
    const reasons = new Set(results.map((result) => (result.ok ? 'recorded' : result.reason)));
    expect(reasons).toEqual(new Set(['recorded', 'import.no-medication-code']));
  });
});
