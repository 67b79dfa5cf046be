import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Dispense, Prescription } from '../prescription/state.js';
import {
  book,
  dispense,
  OTHER_PHARMACY,
  PATIENT,
  PHARMACY,
  PRACTICE,
  prescription,
  RX,
  supply,
  tablets,
} from '../../test/int/reconciliation-book.js';
import type { Book } from './book.js';
import { diff, findDiscrepancies } from './discrepancies.js';
import { examples } from '../../test/support/length.js';

const NOW = Date.parse('2026-06-01T00:00:00.000Z');
const settings = { earlyRefillFactor: 0.75 };
const find = (shown: Book) => findDiscrepancies(shown, NOW, settings);
const classes = (shown: Book) => find(shown).map((found) => found.class);

const cancelled = (effect: 'held' | 'pending' | 'applied', ...dispenses: Dispense[]) =>
  book(
    prescription(dispenses, {
      cancel: {
        by: { id: 'someone', org: PRACTICE },
        reason: 'error',
        recordedAt: '2026-03-02T15:00:00.000Z',
        effect,
      },
    }),
  );

const authorised = (...dispenses: Dispense[]) =>
  book(prescription(dispenses, {}, { quantity: tablets('0.1'), refills: 2 }));
const given = (id: string, value: string, change: Partial<Dispense> = {}) =>
  dispense(id, { quantity: tablets(value), ...change });

const ofUnknownOrder = (...dispenses: Dispense[]) =>
  find(book(prescription(dispenses, { order: null, status: null, pharmacies: [] })));

const refilled = (second: string, change: Partial<Dispense> = {}) =>
  book(
    prescription([
      dispense('d1', { whenHandedOver: '2026-03-02T15:00:00.000Z' }),
      dispense('d2', { issue: 1, whenHandedOver: second, ...change }),
    ]),
  );

describe('D03 dispensed after cancel', () => {
  it.each([
    { when: '2026-03-02T15:00:00.000Z', found: [] },
    { when: '2026-03-02T15:01:00.000Z', found: [] },
    { when: '2026-03-02T15:01:00.001Z', found: ['D03'] },
    { when: '2026-03-09T10:00:00.000Z', found: ['D03'] },
  ])('handed over $when, cancelled 15:00: $found', ({ when, found }) => {
    expect(classes(cancelled('applied', dispense('d1', { whenHandedOver: when })))).toEqual(found);
  });

  it('says nothing while the cancel is held', () => {
    expect(classes(cancelled('held', dispense('d1', { whenHandedOver: '2026-03-09T10:00:00.000Z' })))).toEqual([]);
  });

  it.each(['pending', 'applied'] as const)(
    'finds what the holder handed over under its claim after a cancel that is %s, under the same id',
    (effect) => {
      const claim = { claimId: 'c', pharmacy: PHARMACY, secretHash: '', claimedAt: '2026-03-02T14:00:00.000Z' };
      const handed = (whenHandedOver: string) =>
        find(cancelled(effect, dispense('d1', { whenHandedOver, claim, reported: false })));
      expect(handed('2026-03-02T15:01:00.000Z')).toEqual([]);
      expect(handed('2026-03-02T15:01:00.001Z')).toMatchObject([
        { id: 'D03:_YAyjXS6uDUbRdkqyq7Tvg', orgs: [PRACTICE, PHARMACY], reporters: [] },
      ]);
    },
  );

  it('says nothing of a reversed handing-over', () => {
    const late = dispense('d1', { whenHandedOver: '2026-03-09T10:00:00.000Z', reversed: true });
    expect(classes(cancelled('applied', late))).toEqual([]);
  });

  it('concerns the practice and the pharmacy that handed over, one discrepancy per handing-over', () => {
    const found = find(
      cancelled(
        'applied',
        dispense('d1', { whenHandedOver: '2026-03-09T10:00:00.000Z' }),
        dispense('d2', { issue: 1, whenHandedOver: '2026-04-09T10:00:00.000Z', pharmacy: OTHER_PHARMACY }),
      ),
    );
    // The other pharmacy never held the order: it is told of its own report only.
    expect(found.map(({ orgs, reporters, side }) => ({ orgs, reporters, side }))).toEqual(
      expect.arrayContaining([
        { orgs: [PRACTICE, PHARMACY], reporters: [], side: 'both' },
        { orgs: [PRACTICE], reporters: [{ org: OTHER_PHARMACY, dispenses: ['d2'] }], side: 'both' },
      ]),
    );
    expect(new Set(found.map(({ id }) => id)).size).toBe(2);
  });
});

describe('D07 over-dispense', () => {
  it('sums exactly: 0.1 three times is not more than 0.1 x (1 + 2)', () => {
    expect(classes(authorised(given('d1', '0.1'), given('d2', '0.1'), given('d3', '0.1')))).toEqual([]);
  });

  it('finds the smallest excess and says both amounts', () => {
    const found = find(authorised(given('d1', '0.2'), given('d2', '0.1'), given('d3', '0.001')));
    expect(found).toMatchObject([
      {
        class: 'D07',
        chain: RX,
        side: 'both',
        orgs: [PRACTICE, PHARMACY],
        evidence: {
          kind: 'over-dispense',
          authorised: '0.3',
          dispensed: '0.301',
          unit: '{tablet}',
          dispenses: ['d1', 'd2', 'd3'],
        },
      },
    ]);
  });

  it('tells a pharmacy that has only reported of its own handings-over alone, unless it is nominated', () => {
    const mixed = [given('d1', '0.3'), given('d2', '0.1', { pharmacy: OTHER_PHARMACY })];
    expect(find(authorised(...mixed, given('d3', '0.1', { pharmacy: OTHER_PHARMACY })))).toMatchObject([
      { orgs: [PRACTICE, PHARMACY], reporters: [{ org: OTHER_PHARMACY, dispenses: ['d2', 'd3'] }] },
    ]);
    const nominated = prescription(mixed, {}, { quantity: tablets('0.1'), nominatedPharmacy: OTHER_PHARMACY });
    expect(find(book(nominated))).toMatchObject([{ orgs: [PRACTICE, PHARMACY, OTHER_PHARMACY], reporters: [] }]);
  });

  it('does not count what was reversed', () => {
    expect(classes(authorised(given('d1', '0.3'), given('d2', '0.1', { reversed: true })))).toEqual([]);
  });

  it('names another unit an error of its own and leaves it out of the sum', () => {
    const found = find(authorised(given('d1', '0.3'), dispense('d2', { quantity: { value: '500', unit: 'mL' } })));
    expect(found).toMatchObject([
      {
        class: 'D07',
        evidence: { kind: 'unit-mismatch', authorisedUnit: '{tablet}', units: ['mL'], dispenses: ['d2'] },
      },
    ]);
  });

  it('counts a supply that was matched to the order, once', () => {
    const matched = supply('s', [given('d2', '0.3')], { matchedTo: RX });
    expect(classes({ ...authorised(given('d1', '0.1')), supplies: [matched] })).toEqual(['D07']);
    expect(classes({ ...authorised(given('d2', '0.3')), supplies: [matched] })).toEqual([]);
  });

  it.each([{ quantity: null }, { refills: null }])('says nothing where history authorises no amount: %j', (order) => {
    expect(classes(book(prescription([given('d1', '999')], {}, order)))).toEqual([]);
  });
});

describe('D12 orphan dispense', () => {
  it('finds a supply that is not matched', () => {
    expect(find(book(supply('s', [dispense('d1')])))).toMatchObject([
      {
        class: 'D12',
        chain: 's',
        side: 'pharmacy',
        orgs: [PHARMACY],
        evidence: { kind: 'unmatched-supply', dispense: 'd1' },
      },
    ]);
  });

  it('says nothing once the supply is matched or its report is taken back', () => {
    expect(classes(book(supply('s', [dispense('d1')], { matchedTo: RX })))).toEqual([]);
    expect(classes(book(supply('s', [dispense('d1', { reversed: true })])))).toEqual([]);
  });

  it('finds a report for an order that has not arrived, and drops it when the order arrives', () => {
    const early = prescription([dispense('d1')], { order: null, status: null });
    expect(find(book(early))).toMatchObject([{ class: 'D12', chain: RX, evidence: { kind: 'unknown-order' } }]);
    expect(classes(book(prescription([dispense('d1')])))).toEqual([]);
  });

  it('of an order that several have reported tells each of its own, reversed or not', () => {
    const theirs = dispense('d2', { pharmacy: OTHER_PHARMACY });
    expect(ofUnknownOrder(dispense('d1'), dispense('d3')).map(({ orgs }) => orgs)).toEqual([[PHARMACY], [PHARMACY]]);
    const mine = { orgs: [], reporters: [{ org: PHARMACY, dispenses: ['d1'] }] };
    const others = { orgs: [], reporters: [{ org: OTHER_PHARMACY, dispenses: ['d2'] }] };
    expect(ofUnknownOrder(dispense('d1'), theirs)).toEqual(
      expect.arrayContaining([expect.objectContaining(mine), expect.objectContaining(others)]),
    );
    expect(ofUnknownOrder(dispense('d1'), { ...theirs, reversed: true })).toMatchObject([mine]);
  });

  it('leaves doses alone that name no order', () => {
    const dose = {
      doseId: 'x',
      outcome: 'taken' as const,
      at: '2026-03-01T08:00:00.000Z',
      quantity: null,
      seq: 0,
      medication: null,
    };
    expect(classes(book(supply('s', [], { doses: [dose], pharmacy: null })))).toEqual([]);
  });
});

describe('D13 early refill', () => {
  it.each([
    // 0.75 x 30 days after 2 March is the middle of 24 March.
    { second: '2026-03-24T15:00:00.000Z', found: ['D13'] },
    { second: '2026-03-25T15:00:00.000Z', found: [] },
    // 03:30 UTC is still 24 March in New York.
    { second: '2026-03-25T03:30:00.000Z', found: ['D13'] },
  ])('30 days from 2 March, refill $second: $found', ({ second, found }) => {
    expect(classes(refilled(second))).toEqual(found);
  });

  it('takes the share of the supply from the settings, and exactly the share is not early', () => {
    const shown = refilled('2026-03-26T15:00:00.000Z');
    expect(findDiscrepancies(shown, NOW, { earlyRefillFactor: 0.8 })).toEqual([]);
    expect(findDiscrepancies(shown, NOW, { earlyRefillFactor: 0.85 })).toMatchObject([
      { class: 'D13', evidence: { previousOn: '2026-03-02', filledOn: '2026-03-26', daysSupply: 30, factor: '0.85' } },
    ]);
  });

  it('does not compare two parts of one issue', () => {
    expect(classes(refilled('2026-03-03T15:00:00.000Z', { issue: 0, quantity: tablets('1') }))).toEqual([]);
  });

  it('lets the parts of an issue last for the sum of their days', () => {
    const parts = [
      dispense('a', { quantity: tablets('10'), daysSupply: 10 }),
      dispense('b', { quantity: tablets('20'), daysSupply: 20, whenHandedOver: '2026-03-05T15:00:00.000Z' }),
    ];
    expect(
      classes(book(prescription([...parts, dispense('c', { issue: 1, whenHandedOver: '2026-03-24T15:00:00.000Z' })]))),
    ).toEqual(['D13']);
    expect(
      classes(book(prescription([...parts, dispense('c', { issue: 1, whenHandedOver: '2026-03-25T15:00:00.000Z' })]))),
    ).toEqual([]);
  });

  it('concerns the practice and the pharmacy that filled early, not the one before', () => {
    const early = refilled('2026-03-04T15:00:00.000Z', { pharmacy: OTHER_PHARMACY });
    const reporters = [{ org: OTHER_PHARMACY, dispenses: ['d2'] }];
    expect(find(early)).toMatchObject([{ class: 'D13', side: 'both', orgs: [PRACTICE], reporters }]);
    const since = '2026-03-01T15:00:00.000Z';
    const held = early.prescriptions.map((rx) => ({ ...rx, pharmacies: [{ org: OTHER_PHARMACY, since }] }));
    expect(find({ ...early, prescriptions: held })).toMatchObject([
      { class: 'D13', side: 'both', orgs: [PRACTICE, OTHER_PHARMACY], reporters: [] },
    ]);
  });
});

describe('the same facts in any order', () => {
  const DAY = 86_400_000;
  const START = Date.parse('2026-03-01T12:00:00.000Z');
  const anyDispense = (id: string) =>
    fc
      .record({
        issue: fc.constantFrom(0, 1, 2, null),
        pharmacy: fc.constantFrom(PHARMACY, OTHER_PHARMACY),
        quantity: fc.record({
          value: fc.constantFrom('10', '30', '0.5'),
          unit: fc.constantFrom('{tablet}', '{tablet}', 'mL'),
        }),
        daysSupply: fc.constantFrom(7, 30),
        whenHandedOver: fc.integer({ min: 0, max: 60 }).map((day) => new Date(START + day * DAY).toISOString()),
        reported: fc.boolean(),
        reversed: fc.boolean(),
      })
      .map((change) => dispense(id, change));
  const anyDispenses = (chain: string) =>
    fc
      .integer({ min: 0, max: 5 })
      .chain((n) => fc.tuple(...Array.from({ length: n }, (_, i) => anyDispense(`${chain}-${i}`))));
  const cancel = {
    by: { id: 'someone', org: PRACTICE },
    reason: 'error',
    recordedAt: new Date(START + 20 * DAY).toISOString(),
    effect: 'applied' as const,
  };
  const anyBook = fc
    .record({
      first: anyDispenses('a'),
      second: anyDispenses('b'),
      loose: anyDispenses('s'),
      cancelled: fc.boolean(),
      unknown: fc.boolean(),
      matched: fc.boolean(),
    })
    .map(({ first, second, loose, cancelled: isCancelled, unknown, matched }): Book => ({
      patient: PATIENT,
      prescriptions: [
        prescription(first, { id: 'rx-a', cancel: isCancelled ? cancel : null }),
        prescription(second, { id: 'rx-b', ...(unknown ? { order: null, status: null } : {}) }),
      ],
      supplies: [supply('s', loose, { matchedTo: matched ? 'rx-a' : null })],
    }));
  /** The same facts in another order of arrival, some of them twice. */
  const arrived = (shown: Book, order: (n: number) => number[]): Book => {
    const again = <T>(list: readonly T[]) => order(list.length).flatMap((i) => list.slice(i, i + 1));
    const late = (dispenses: Dispense[]) => {
      const other = again(dispenses).map((one, seq) => ({
        ...one,
        seq,
        recordedAt: new Date(START + seq).toISOString(),
      }));
      return [...other, ...other.slice(0, 1)];
    };
    return {
      patient: shown.patient,
      prescriptions: again(shown.prescriptions).map((rx): Prescription => ({ ...rx, dispenses: late(rx.dispenses) })),
      supplies: again(shown.supplies).map((loose) => ({ ...loose, dispenses: late(loose.dispenses) })),
    };
  };

  it('gives the same discrepancies, evidence included', () => {
    let compared = 0;
    const numRuns = examples(500);
    fc.assert(
      fc.property(anyBook, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (shown, dice) => {
        const shuffled = (n: number) =>
          Array.from({ length: n }, (_, i) => ({ i, at: dice.next().value }))
            .toSorted((a, b) => a.at - b.at)
            .map(({ i }) => i);
        const found = find(shown);
        compared += found.length;
        expect(find(arrived(shown, shuffled))).toEqual(found);
      }),
      { numRuns },
    );
    expect(compared).toBeGreaterThan(numRuns);
  });

  it('judging twice changes nothing: what was opened is neither opened again nor gone', () => {
    fc.assert(
      fc.property(anyBook, anyBook, (before, after) => {
        const opened = find(before).map((found) => ({
          ...found,
          status: 'open' as const,
          seq: 1,
          openedAt: '2026-03-01T00:00:00.000Z',
          resolvedAt: null,
          resolution: null,
        }));
        expect(diff(find(before), { discrepancies: opened })).toEqual({ open: [], gone: [] });
        const { open, gone } = diff(find(after), { discrepancies: opened });
        const left = opened.map(({ id }) => id).filter((id) => !gone.includes(id));
        expect([...left, ...open.map(({ id }) => id)].toSorted()).toEqual(find(after).map(({ id }) => id));
      }),
    );
  });
});

describe('diff', () => {
  const [found] = find(book(supply('s', [dispense('d1')])));
  if (found === undefined) throw new Error('the fixture shows no discrepancy');
  const known = (status: 'open' | 'resolved', resolution: 'gone' | 'accepted' | null) => ({
    discrepancies: [{ ...found, status, seq: 1, openedAt: '', resolvedAt: null, resolution }],
  });

  it('opens what is not known', () => {
    expect(diff([found], null)).toEqual({ open: [found], gone: [] });
  });
  it('lets a person’s word stand while the evidence is the same', () => {
    expect(diff([found], known('resolved', 'accepted'))).toEqual({ open: [], gone: [] });
    // The same holds after it has left the patient's state.
    expect(diff([found], { discrepancies: [] }, new Set([found.id]))).toEqual({ open: [], gone: [] });
  });
  it('opens again what was gone and shows again', () => {
    expect(diff([found], known('resolved', 'gone'))).toEqual({ open: [found], gone: [] });
  });
  it('says gone of what is open and no longer shows, not of what is resolved', () => {
    expect(diff([], known('open', null))).toEqual({ open: [], gone: [found.id] });
    expect(diff([], known('resolved', 'accepted'))).toEqual({ open: [], gone: [] });
  });
});

it('names a discrepancy by class and evidence, for ever', () => {
  expect(find(book(supply('s', [dispense('d1')])))[0]?.id).toBe('D12:vFx99Zgt_jJ7be4cnpulXA');
});
