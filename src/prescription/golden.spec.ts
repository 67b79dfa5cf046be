import type { LedgerEvent } from '../ledger/core/record/event.js';
import { describe, expect, it } from 'vitest';
import {
  goldenChain,
  goldenCommitments,
  goldenText,
  goldenTypes,
  SALT,
} from '../../test/fixtures/golden/events/read.js';
import { commit, parsePayload } from '../ledger/core/record/commitment.js';
import { toBase64 } from '../ledger/core/bytes.js';
import { nobleHasher } from '../ledger/core/hasher.js';
import { jcs } from '../ledger/core/jcs.js';
import { LOG_CONTINUED } from '../ledger/core/statements/continuation.js';
import { LOG_KEY_ROTATED } from '../ledger/core/statements/key-rotation.js';
import type { KeyEnrolled, KeyRevoked } from '../ledger/log-chain/actor-keys.js';
import { isLogEvent } from '../ledger/log-chain/log-chain.js';
import { nodeHasher } from '../ledger/crypto/node-hasher.js';
import { openEvent, sealEvent } from '../ledger/store/payload.js';
import type { PatientEvent } from '../patient/state.js';
import type { PrescriptionEvent, SupplyEvent } from './events.js';
import { evolvePrescription, isPrescriptionEvent } from './evolve.js';
import { evolveSupply, isSupplyEvent } from './evolve-supply.js';
import { isPatientEvent } from '../patient/evolve.js';
import { ERASED } from '../ledger/store/chain-row.js';
import type { Prescription, Supply } from './state.js';

type Type =
  | (PrescriptionEvent | SupplyEvent | PatientEvent | KeyEnrolled | KeyRevoked)['type']
  | typeof LOG_KEY_ROTATED
  | typeof LOG_CONTINUED
  | typeof ERASED;

/** Every type and version there ever was; a compile error here means that one was forgotten. */
const EVERY_TYPE: Readonly<Record<Type, true>> = {
  'access.break-glass/1': true,
  'access.disclosed/1': true,
  'access.recorded/1': true,
  'actor-key.enrolled/1': true,
  'actor-key.revoked/1': true,
  'discrepancy.opened/1': true,
  'discrepancy.resolved/1': true,
  'dispense.claimed/1': true,
  'dispense.not-dispensed/1': true,
  'dispense.recorded/1': true,
  'dispense.released/1': true,
  'dispense.reported/1': true,
  'dispense.reversed/1': true,
  'dose.corrected/1': true,
  'dose.skipped/1': true,
  'dose.taken/1': true,
  'erased/1': true,
  'hold.placed/1': true,
  'hold.released/1': true,
  'issue.expired/1': true,
  'issue.readied/1': true,
  'log-key.rotated/1': true,
  'log.continued/1': true,
  'order.cancel-requested/1': true,
  'order.cancelled/1': true,
  'order.imported/1': true,
  'order.issued/1': true,
  'patient.enrolled/1': true,
  'supply.matched/1': true,
};
const TYPES = Object.keys(EVERY_TYPE).toSorted();

describe('golden payloads', () => {
  it('there is one of every type and version, and none of a type that there is not', () => {
    expect(goldenTypes()).toEqual(TYPES);
    expect(Object.keys(goldenCommitments()).toSorted()).toEqual(TYPES);
  });

  it.each(TYPES)('%s: text and commitment are what they were', (type) => {
    const text = goldenText(type);
    const payload = parsePayload(text);
    const { signature: _signature, ...members } = payload;
    expect(Object.keys(members)).toEqual(['actor', 'data', 'derived', 'kind', 'occurredAt', 'recordedAt', 'type']);
    expect(payload['type']).toBe(type);
    expect(jcs(payload)).toBe(text);
    for (const hasher of [nobleHasher, nodeHasher]) {
      const sealed = sealEvent(hasher, SALT, openEvent(text, 'chain', 0));
      expect(sealed.text).toBe(text);
      expect(toBase64(sealed.commitment)).toBe(goldenCommitments()[type]);
      expect(toBase64(commit(hasher, SALT, payload).commitment)).toBe(goldenCommitments()[type]);
    }
  });

  it.each(TYPES)('%s: a model reads it', (type) => {
    const event = openEvent(goldenText(type), 'chain', 0);
    const reads = {
      prescription: isPrescriptionEvent,
      supply: isSupplyEvent,
      patient: isPatientEvent,
      log: isLogEvent,
    };
    const readBy = Object.entries(reads).flatMap(([kind, is]) => (is(event) ? [kind] : []));
    // The end of an erased chain is the ledger's own; nothing evolves after it.
    if (type === ERASED) expect(readBy).toEqual([]);
    else expect(readBy).toContain(event.kind);
  });
});

const RX = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f02';
const PRACTICE = '0d9a5a2e-6f0e-4f43-9a52-2b1c6d0e7a01';
const PHARMACY = '0d9a5a2e-6f0e-4f43-9a52-2b1c6d0e7a02';
const PHARMACY_2 = '0d9a5a2e-6f0e-4f43-9a52-2b1c6d0e7a03';
const PATIENT = '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f01';
const SIMVASTATIN = {
  system: 'http://www.nlm.nih.gov/research/umls/rxnorm',
  code: '314231',
  display: 'simvastatin 10 MG Oral Tablet',
};
const tablets = (value: string) => ({ value, unit: '{tablet}' });

const prescribed = (...types: PrescriptionEvent['type'][]): Prescription | null =>
  goldenChain(RX, ...types).reduce<Prescription | null>(evolvePrescription, null);

const REPORTED = {
  dispenseId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f05',
  issue: 0,
  pharmacy: PHARMACY_2,
  medication: SIMVASTATIN,
  quantity: tablets('30'),
  daysSupply: 30,
  whenHandedOver: '2026-01-21T15:00:00.000Z',
  recordedAt: '2026-01-21T20:00:00.000Z',
  reported: true,
  claim: null,
  reversed: false,
};
const doses = (first: number) => [
  {
    doseId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f06',
    outcome: 'taken',
    at: '2026-01-21T23:00:00.000Z',
    quantity: tablets('1'),
    seq: first,
  },
  {
    doseId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f07',
    outcome: 'taken',
    at: '2026-01-22T23:30:00.000Z',
    quantity: tablets('0.5'),
    seq: first + 1,
  },
];
const CLAIM = {
  claimId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f03',
  pharmacy: PHARMACY,
  secretHash: 'yyDfW7Wp3aSJb4JMZbzG6gQd3Q0eG3d0m3xv0b0o5xE=',
  claimedAt: '2026-01-20T14:00:00.000Z',
};

/** What old payloads say today. A state may gain members; what it says of these lives may not change. */
describe('lives told by golden payloads', () => {
  it('an order with a part taken back, a report and a cancel that waited', () => {
    const rx = prescribed(
      'order.issued/1',
      'issue.readied/1',
      'dispense.claimed/1',
      'dispense.recorded/1',
      'dispense.reversed/1',
      'dispense.reported/1',
      'dose.taken/1',
      'dose.skipped/1',
      'dose.corrected/1',
      'order.cancel-requested/1',
      'dispense.released/1',
      'order.cancelled/1',
    );
    const ended = { status: 'cancelled', claim: null };
    expect(rx).toEqual({
      id: RX,
      recordedAt: '2026-01-15T17:00:00.000Z',
      name: { issuer: PRACTICE, number: 'ESP-0042' },
      order: {
        historical: false,
        patient: PATIENT,
        prescriber: { id: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c01', org: PRACTICE },
        medication: SIMVASTATIN,
        directions: 'one tablet in the evening — with water',
        quantity: tablets('30'),
        daysSupply: 30,
        refills: 1,
        substitutionAllowed: true,
        writtenOn: '2026-01-15',
        earliestFillOn: '2026-01-20',
        nominatedPharmacy: PHARMACY,
        note: 'large print label',
        zone: 'America/New_York',
        schedule: null,
        ingredient: 'simvastatin',
        validUntil: '2027-01-15',
        ruleSet: 'us-federal',
        tokenGeneration: 1,
        tokenHash: 'n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=',
        recordedAt: '2026-01-15T17:00:00.000Z',
      },
      status: 'cancelled',
      issues: [
        { number: 0, earliestFillOn: '2026-01-20', ...ended },
        { number: 1, earliestFillOn: null, ...ended },
      ],
      cancel: {
        by: { id: 'a5e0c3d2-1b4f-4e6d-9c8b-7a6f5e4d3c01', org: PRACTICE },
        reason: 'adverse-reaction',
        recordedAt: '2026-01-22T15:00:00.000Z',
        effect: 'applied',
      },
      refillHolder: null,
      pharmacies: [{ org: PHARMACY, since: '2026-01-20T14:00:00.000Z' }],
      dispenses: [
        {
          dispenseId: '7c1f0b64-2d3a-4c5e-8f6a-9b0c1d2e3f04',
          issue: 0,
          pharmacy: PHARMACY,
          medication: { ...SIMVASTATIN, code: '104490', display: 'simvastatin 10 MG Oral Tablet [Zocor]' },
          quantity: tablets('10.5'),
          daysSupply: 10,
          whenHandedOver: '2026-01-20T14:05:00.000Z',
          recordedAt: '2026-01-20T14:10:00.000Z',
          reported: false,
          claim: CLAIM,
          reversed: true,
          seq: 3,
        },
        { ...REPORTED, seq: 5 },
      ],
      doses: doses(6),
    });
  });

  it('an order that was held, in part handed over', () => {
    const rx = prescribed('order.issued/1', 'issue.readied/1', 'dispense.claimed/1', 'dispense.recorded/1');
    expect(rx).toMatchObject({
      status: 'active',
      refillHolder: PHARMACY,
      issues: [
        { number: 0, status: 'part-dispensed', claim: CLAIM },
        { number: 1, status: 'future', claim: null },
      ],
    });
  });

  it('an order that nobody collected and whose refill expired', () => {
    const rx = prescribed(
      'order.issued/1',
      'issue.readied/1',
      'dispense.claimed/1',
      'dispense.not-dispensed/1',
      'issue.expired/1',
    );
    expect(rx).toMatchObject({
      status: 'stopped',
      issues: [
        { number: 0, status: 'not-dispensed', claim: null },
        { number: 1, status: 'expired', claim: null },
      ],
      dispenses: [],
    });
  });

  it('imported history', () => {
    const rx = prescribed('order.imported/1', 'dose.taken/1', 'dose.skipped/1', 'dose.corrected/1');
    expect(rx).toMatchObject({
      name: { issuer: PRACTICE, number: 'urn:uuid:5f6a8b3e-0c1d-4e2f-9a3b-4c5d6e7f8091' },
      status: 'active',
      order: {
        historical: true,
        patient: PATIENT,
        prescriber: { id: 'import', org: PRACTICE },
        quantity: tablets('90'),
        refills: 3,
        writtenOn: '2019-03-04',
        validUntil: null,
        tokenHash: null,
        recordedAt: '2026-01-15T17:30:00.000Z',
      },
      cancel: null,
      doses: doses(1),
    });
    expect(rx?.issues.map(({ status }) => status)).toEqual(['ready', 'future', 'future', 'future']);
  });

  it('a supply that was matched', () => {
    const events: LedgerEvent[] = goldenChain(
      'supply',
      'dispense.reported/1',
      'dose.taken/1',
      'dose.skipped/1',
      'dose.corrected/1',
      'supply.matched/1',
    );
    expect(events.reduce<Supply | null>(evolveSupply, null)).toEqual({
      id: 'supply',
      recordedAt: REPORTED.recordedAt,
      patient: PATIENT,
      claimedOrder: { issuer: PRACTICE, number: 'ESP-0042' },
      pharmacy: PHARMACY_2,
      dispenses: [{ ...REPORTED, seq: 0 }],
      doses: doses(1).map((dose) => ({ ...dose, medication: SIMVASTATIN })),
      matchedTo: RX,
    });
  });
});
