import { describe, expect, it } from 'vitest';
import { goldenChain, goldenText } from '../../test/fixtures/golden/events/read.js';
import { ERASED } from '../ledger/store/chain-row.js';
import { evolvePatient } from './evolve.js';
import type { Patient, PatientEvent } from './state.js';

const ID = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f01';
const PRACTICE = '0d9a5a2e-6f0e-4f43-9a52-2b1c6d0e7a01';
const PHARMACY_2 = '0d9a5a2e-6f0e-4f43-9a52-2b1c6d0e7a03';

const told = (...types: PatientEvent['type'][]): Patient | null =>
  goldenChain(ID, ...types).reduce<Patient | null>(evolvePatient, null);

const FOUND = {
  id: 'D07:AAECAwQFBgcICQoLDA0ODw',
  class: 'D07',
  chain: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02',
  side: 'both',
  orgs: [PRACTICE, PHARMACY_2],
  reporters: [],
  evidence: {
    kind: 'over-dispense',
    dispenses: ['7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f04', '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f05'],
    authorised: '60',
    dispensed: '70.5',
    unit: '{tablet}',
  },
  seq: 0,
  openedAt: '2026-01-21T20:00:01.000Z',
};

/** The current program must read old payloads as before (see the golden payloads of prescriptions). */
describe('patients told by golden payloads', () => {
  it('enrolled, read, let in without a relation, disclosed, and with a discrepancy that was resolved', () => {
    const patient = told(
      'patient.enrolled/1',
      'access.recorded/1',
      'access.break-glass/1',
      'access.disclosed/1',
      'discrepancy.opened/1',
      'discrepancy.resolved/1',
      'hold.placed/1',
      'hold.released/1',
    );
    expect(patient).toEqual({
      id: ID,
      enrolledAt: '2026-01-10T09:00:00.000Z',
      name: 'Zoë Example',
      birthDate: '1970-02-28',
      identifiers: [
        { system: 'https://clinic.example/mrn', value: 'M-100' },
        { system: 'https://state.example/id', value: 'S-200' },
      ],
      address: '1 Test Road, Springfield',
      grants: [{ actor: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c03', until: '2026-01-21T15:00:00.000Z' }],
      disclosures: [{ seq: 3, auditor: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c06', at: '2026-01-23T10:00:00.000Z' }],
      holds: [
        {
          holdId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f09',
          reason: 'litigation',
          until: '2026-05-31',
          authority: 'District Court, Springfield: 26-CV-104',
          placedAt: '2026-02-01T10:00:00.000Z',
          releasedAt: '2026-03-01T10:00:00.000Z',
        },
      ],
      discrepanciesLeft: 0,
      reads: [
        {
          reader: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c02',
          since: '2026-01-20T14:00:00.000Z',
          chains: ['7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02'],
        },
      ],
      discrepancies: [
        { ...FOUND, seq: 4, status: 'resolved', resolvedAt: '2026-01-22T09:00:00.000Z', resolution: 'accepted' },
      ],
    });
  });

  it('provisional, with a discrepancy that is open', () => {
    expect(told('discrepancy.opened/1')).toMatchObject({
      id: ID,
      enrolledAt: null,
      discrepancies: [{ ...FOUND, status: 'open', resolvedAt: null, resolution: null }],
    });
  });

  it('the end of an erased chain says nothing but when and by whom', () => {
    expect(JSON.parse(goldenText(ERASED))).toEqual({
      actor: { id: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c05', org: null, role: 'administrator' },
      data: {},
      derived: {},
      kind: 'patient',
      occurredAt: '2026-06-01T12:00:00.000Z',
      recordedAt: '2026-06-01T12:00:00.000Z',
      type: ERASED,
    });
  });
});
