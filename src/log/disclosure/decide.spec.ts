import { describe, expect, it } from 'vitest';
import type { DisclosureFault } from '../../ledger/core/record/disclosure.js';
import type { LedgerEvent } from '../../ledger/core/record/event.js';
import { evolvePatient } from '../../patient/evolve.js';
import { decideDisclose } from './decide.js';

const AT = '2026-03-10T12:00:00.000Z';
const data = { index: 7, chain: 'rx', members: ['type'], reason: 'why' };
const INSURANCE = { ...data, recipient: 'Insurance', auditor: null };
const AUDITOR = { ...data, recipient: null, auditor: 'aud' };

function recorded(wish: typeof INSURANCE | typeof AUDITOR, seq: number): LedgerEvent {
  const decision = decideDisclose({ data: wish, fault: null }, { chain: 'pat' });
  if ('refusal' in decision) throw new Error(decision.refusal.code);
  const [event] = decision.events;
  const actor = { id: 'account-pat', role: 'patient' as const, org: null };
  return { kind: 'patient', seq, actor, occurredAt: AT, recordedAt: AT, ...event! };
}

describe('a disclosure', () => {
  it.each([[INSURANCE], [AUDITOR]])('names entry, members, to whom and why, and no value', (wish) => {
    expect(recorded(wish, 3)).toMatchObject({ type: 'access.disclosed/1', chain: 'pat', data: wish, derived: {} });
  });

  it('is found again by the auditor to whom it is addressed, and by nobody else', () => {
    const first = evolvePatient(null, recorded(INSURANCE, 0));
    expect(first.disclosures).toEqual([]);
    const second = evolvePatient(first, recorded(AUDITOR, 1));
    expect(second.disclosures).toEqual([{ seq: 1, auditor: 'aud', at: AT }]);
    // All disclosures of one instant stay. Later ones replace them in the state; their rows stay.
    const third = evolvePatient(second, recorded(AUDITOR, 2));
    expect(third.disclosures.map(({ seq }) => seq)).toEqual([1, 2]);
    const later = evolvePatient(third, { ...recorded(AUDITOR, 3), recordedAt: '2026-03-11T12:00:00.000Z' });
    expect(later.disclosures.map(({ seq }) => seq)).toEqual([3]);
  });

  it.each([
    ['nobody', { ...data, recipient: null, auditor: null }],
    ['two', { ...data, recipient: 'Insurance', auditor: 'aud' }],
  ])('is not given to %s', (_, wish) => {
    const refusal = { code: 'disclosure.recipient-missing', facts: {} };
    expect(decideDisclose({ data: wish, fault: null }, { chain: 'pat' })).toEqual({ refusal });
  });

  it.each<[DisclosureFault, string]>([
    ['member-unknown', 'disclosure.member-unknown'],
    ['signature-alone', 'disclosure.signature-alone'],
  ])('is not given of what cannot be shown: %s', (fault, code) => {
    expect(decideDisclose({ data: INSURANCE, fault }, { chain: 'pat' })).toMatchObject({ refusal: { code } });
  });
});
