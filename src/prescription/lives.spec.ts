/** Random lives of an order: whatever people send, in whatever order, what design 4 promises holds. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cancel,
  claim,
  closeNotDispensed,
  DOCTOR,
  dispense,
  importOrder,
  inOneLine,
  issue,
  NOON,
  NOTHING_YET,
  OTHER_DOCTOR,
  PHARMACY_A,
  PHARMACY_B,
  release,
  report,
  reverse,
  type Step,
  type Story,
  tablets,
  tell,
  THE_PATIENT,
  timer,
} from '../../test/support/domain.js';
import { decideDoseCorrected, decideDoseSkipped, decideDoseTaken } from '../adherence/decide.js';
import type { Actor } from '../ledger/model.js';
import { evolvePrescription, isPrescriptionEvent } from './evolve.js';
import type { IssueStatus, OrderStatus, Prescription } from './state.js';
import { heldIssue, nextTimer } from './queries.js';
import { REFUSALS } from '../refusals/refusals.js';
import { examples, rounds } from '../../test/support/length.js';

const AUTHORISED = 30;
const ORDER_STATES: OrderStatus[] = [
  'active',
  'on-hold',
  'completed',
  'cancelled',
  'stopped',
  'replaced',
  'entered-in-error',
];
const HELD: IssueStatus[] = ['claimed', 'part-dispensed'];
const OPEN: IssueStatus[] = ['ready', ...HELD];
const CLOSED: IssueStatus[] = ['dispensed', 'not-dispensed', 'expired', 'cancelled'];
const ISSUE_STATES: IssueStatus[] = ['future', ...OPEN, ...CLOSED];

/** What somebody does, seeing how things stand. */
type Move = (rx: Prescription | null) => Step;
type Who = (rx: Prescription | null) => Actor;

const anybody = fc.constantFrom(PHARMACY_A, PHARMACY_B);
/** Mostly the pharmacy whose turn it is: else nearly every move would be refused. */
const pharmacist = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constant<Who>((rx) => {
      const org = rx && (heldIssue(rx)?.claim.pharmacy ?? rx.refillHolder);
      return org === PHARMACY_B.org ? PHARMACY_B : PHARMACY_A;
    }),
  },
  {
    weight: 1,
    arbitrary: anybody.map(
      (by): Who =>
        () =>
          by,
    ),
  },
);
const dispenseId = fc.constantFrom('d1', 'd2', 'd3', 'd4');
const doseId = fc.constantFrom('x1', 'x2', 'x3');
/** Undefined: the holder's own. */
const secretHash = fc.constantFrom(undefined, undefined, undefined, undefined, undefined, undefined, 'guess');
const amount = fc.constantFrom('10', '20', '30', '30', '31');

const doses = fc.oneof(
  doseId.map(
    (id): Step['decide'] =>
      (rx, ctx) =>
        decideDoseTaken(rx, { doseId: id, at: NOON, quantity: null, medication: null }, ctx),
  ),
  doseId.map(
    (id): Step['decide'] =>
      (rx, ctx) =>
        decideDoseSkipped(rx, { doseId: id, at: NOON, reason: 'forgot', medication: null }, ctx),
  ),
  doseId.map(
    (id): Step['decide'] =>
      (rx, ctx) =>
        decideDoseCorrected(rx, { doseId: id, outcome: 'taken', at: NOON, quantity: null, reason: 'other' }, ctx),
  ),
);

const claims = fc.record({ by: anybody, tokenHash: fc.constantFrom('token', 'token', 'token', 'guess', null) }).map(
  ({ by, tokenHash }): Move =>
    () =>
      claim(by, { tokenHash }),
);
const dispenses = fc.record({ who: pharmacist, id: dispenseId, value: amount, wrong: secretHash }).map(
  ({ who, id, value, wrong }): Move =>
    (rx) =>
      dispense(value, id, wrong === undefined ? {} : { secretHash: wrong }, who(rx)),
);
/** Mostly of the last dispense. */
const reversals = fc.record({ who: pharmacist, id: fc.option(dispenseId, { freq: 2 }) }).map(
  ({ who, id }): Move =>
    (rx) =>
      reverse(id ?? rx?.dispenses.at(-1)?.dispenseId ?? 'd1', who(rx)),
);
const reports = fc.record({ by: anybody, id: dispenseId, value: amount }).map(
  ({ by, id, value }): Move =>
    () =>
      report(value, id, {}, by),
);
const cancels = fc.constantFrom(DOCTOR, DOCTOR, DOCTOR, OTHER_DOCTOR, PHARMACY_A).map(
  (by): Move =>
    () =>
      cancel({}, by),
);
const arrivals = fc.constantFrom(issue(), importOrder({ quantity: tablets('30') })).map(
  (step): Move =>
    () =>
      step,
);

const moves = fc.oneof(
  { weight: 8, arbitrary: claims },
  { weight: 8, arbitrary: dispenses },
  {
    weight: 2,
    arbitrary: fc.tuple(pharmacist, secretHash).map(
      ([who, wrong]): Move =>
        (rx) =>
          release(who(rx), wrong),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(pharmacist, secretHash).map(
      ([who, wrong]): Move =>
        (rx) =>
          closeNotDispensed(who(rx), wrong),
    ),
  },
  { weight: 3, arbitrary: reversals },
  { weight: 1, arbitrary: reports },
  { weight: 2, arbitrary: cancels },
  { weight: 2, arbitrary: fc.constant<Move>(() => timer(NOON)) },
  {
    weight: 1,
    arbitrary: doses.map((decide): Move => () => ({ by: THE_PATIENT, at: null, decide })),
  },
  { weight: 1, arbitrary: arrivals },
);

/** How an order comes to be: mostly issued, now and then a cancel, a report or its history comes first. */
const beginnings = fc
  .record({
    before: fc.constantFrom(null, null, null, null, null, null, cancel(), report('30', 'd6', {}, PHARMACY_B)),
    arrival: fc.oneof(
      {
        weight: 8,
        arbitrary: fc
          .record({
            refills: fc.integer({ min: 0, max: 2 }),
            earliestFillOn: fc.constantFrom(null, null, null, '2026-01-20'),
            nominatedPharmacy: fc.constantFrom(null, 'pharmacy-a'),
          })
          .map((over) => issue(over)),
      },
      {
        weight: 1,
        arbitrary: fc
          .record({
            sourceStatus: fc.constantFrom('active', 'completed', 'on-hold', 'entered-in-error'),
            quantity: fc.constantFrom(null, tablets('30')),
          })
          .map((over) => importOrder(over)),
      },
    ),
  })
  .map(({ before, arrival }) => (before ? [before, arrival] : [arrival]));

/** Days that pass before each step: mostly none, now and then half a year. */
const DAYS = fc.oneof(
  { weight: 40, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constant(6) },
  { weight: 1, arbitrary: fc.constant(200) },
);
const lives = fc.record({
  beginning: beginnings,
  later: fc.array(fc.record({ move: moves, days: DAYS }), { minLength: 1, maxLength: 25, size: 'max' }),
});
type Life = { beginning: Step[]; later: { move: Move; days: number }[] };

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

function holds(rx: Prescription): void {
  if (rx.status === null) {
    expect([rx.order, rx.issues]).toEqual([null, []]);
    return;
  }
  expect(ORDER_STATES).toContain(rx.status);
  for (const one of rx.issues) {
    expect(ISSUE_STATES).toContain(one.status);
    expect(one.claim !== null, 'a claim stands exactly while the issue is held').toBe(HELD.includes(one.status));
    const given = rx.dispenses.filter(
      ({ issue: of, reported, reversed }) => of === one.number && !reported && !reversed,
    );
    const total = given.reduce((sum, { quantity }) => sum + Number(quantity.value), 0);
    expect(total, 'never more than authorised').toBeLessThanOrEqual(AUTHORISED);
    if (one.status === 'part-dispensed') expect(total).toBeGreaterThan(0);
    if (one.status === 'claimed' || one.status === 'part-dispensed') expect(total).toBeLessThan(AUTHORISED);
    if (CLOSED.includes(one.status)) expect(one.status === 'dispensed').toBe(total > 0);
  }
  expect(rx.issues.filter(({ status }) => OPEN.includes(status)).length, 'one issue at a time').toBeLessThanOrEqual(1);
  const isOver = rx.issues.every(({ status }) => CLOSED.includes(status));
  if (rx.issues.length > 0) expect(isOver, 'active exactly while an issue is not closed').toBe(rx.status !== 'active');
  if (rx.status !== 'active') expect(nextTimer(rx)).toBeNull();
  const turn = rx.issues.find(({ status }) => !CLOSED.includes(status));
  if (turn?.status === 'future') expect(turn, 'only the first fill waits for a day').toMatchObject({ number: 0 });
}

/** Every way in which an event may move an issue (design 4). What was handed over in part ends as dispensed. */
const LISTED: Readonly<Record<string, string[]>> = {
  'issue.readied/1': ['future > ready'],
  'dispense.claimed/1': ['ready > claimed'],
  'dispense.released/1': ['claimed > ready', 'part-dispensed > ready'],
  'dispense.recorded/1': [
    'claimed > part-dispensed',
    'claimed > dispensed',
    'part-dispensed > dispensed',
    'future > ready',
  ],
  'dispense.not-dispensed/1': [
    'claimed > not-dispensed',
    'claimed > dispensed',
    'part-dispensed > dispensed',
    'future > ready',
  ],
  'dispense.reversed/1': [
    'dispensed > claimed',
    'dispensed > part-dispensed',
    'dispensed > expired',
    'dispensed > cancelled',
    'part-dispensed > claimed',
    'ready > future',
  ],
  'issue.expired/1': [
    'future > expired',
    'future > dispensed',
    'ready > expired',
    'claimed > expired',
    'ready > dispensed',
    'claimed > dispensed',
    'part-dispensed > dispensed',
  ],
  'order.cancel-requested/1': ['ready > cancelled', 'future > cancelled', 'ready > dispensed', 'future > dispensed'],
  'order.cancelled/1': [
    'ready > cancelled',
    'future > cancelled',
    'claimed > cancelled',
    'ready > dispensed',
    'future > dispensed',
    'part-dispensed > dispensed',
  ],
};

function movesAsListed(before: Story, after: Story): void {
  let state = before.rx;
  for (const event of after.events.slice(before.events.length)) {
    const next = evolvePrescription(state, event);
    for (const { number, status } of state?.issues ?? []) {
      const now = next.issues[number]?.status;
      if (event.type === 'dispense.claimed/1' && event.data['issue'] === number) expect(status).toBe('ready');
      if (now !== status) expect(LISTED[event.type]).toContain(`${status} > ${now}`);
    }
    state = next;
  }
}

const OVER: ReadonlySet<OrderStatus | null> = new Set([
  'completed',
  'cancelled',
  'stopped',
  'entered-in-error',
] as const);

function staysOver(before: Story, after: Story): void {
  const [was, is] = [before.rx?.status ?? null, after.rx?.status ?? null];
  if (!OVER.has(was) || was === is) return;
  const { type } = after.events[before.events.length] ?? {};
  expect([was, type], `${was} became ${is}`).toEqual(['completed', 'dispense.reversed/1']);
}

/** Lives it, holding every promise on the way; `visit` sees each step and the code of its refusal. */
function live({ beginning, later }: Life, visit: (story: Story, code: string | null) => void): void {
  let story = NOTHING_YET;
  const take = (step: Step): void => {
    const told = tell(frozen(story), step);
    if (told.refusal) expect(Object.keys(REFUSALS)).toContain(told.refusal.code);
    if (told.story.rx) holds(told.story.rx);
    staysOver(story, told.story);
    movesAsListed(story, told.story);
    story = told.story;
    visit(story, told.refusal?.code ?? null);
  };
  beginning.forEach(take);
  let now = Date.parse(NOON);
  for (const { move, days } of later) {
    now += days * 86_400_000;
    take({ ...move(story.rx), at: new Date(now).toISOString() });
  }
  const refolded = story.events.reduce(evolvePrescription, null);
  expect(refolded, 'state is the fold of its events').toStrictEqual(story.rx);
  expect(JSON.parse(JSON.stringify(story.rx)), 'a state is JSON').toStrictEqual(story.rx);
  expect(story.events.filter((event) => !isPrescriptionEvent(event))).toEqual([]);
}

describe('lives of an order', () => {
  it('keep every promise', () => {
    fc.assert(
      fc.property(lives, (life) => live(life, () => undefined)),
      { numRuns: examples(600) },
    );
  });

  it('get everywhere that they can, so that the promises are put to the test', () => {
    const seen = {
      events: new Set<string>(),
      issues: new Set<string>(),
      orders: new Set<string>(),
      codes: new Set<string>(),
    };
    const orders = fc.sample(lives, { numRuns: rounds(700, 1500), seed: 7 });
    for (const life of orders) {
      live(life, ({ rx, events }, code) => {
        if (code) seen.codes.add(code);
        if (rx?.status) seen.orders.add(rx.status);
        rx?.issues.forEach(({ status }) => seen.issues.add(status));
        events.forEach(({ type, derived }) =>
          seen.events.add('cause' in derived ? `${type} ${JSON.stringify(derived.cause)}` : type),
        );
      });
    }
    expect([...seen.issues].toSorted()).toEqual(ISSUE_STATES.toSorted());
    expect([...seen.orders].toSorted()).toEqual([
      'active',
      'cancelled',
      'completed',
      'entered-in-error',
      'on-hold',
      'stopped',
    ]);
    expect([...seen.events].toSorted()).toEqual([
      'dispense.claimed/1',
      'dispense.not-dispensed/1',
      'dispense.recorded/1',
      'dispense.released/1',
      'dispense.reported/1',
      'dispense.reversed/1',
      'dose.corrected/1',
      'dose.skipped/1',
      'dose.taken/1',
      'issue.expired/1',
      'issue.readied/1',
      'order.cancel-requested/1',
      'order.cancelled/1 "arrived"',
      'order.cancelled/1 "dispense-reversed"',
      'order.cancelled/1 "dispensed"',
      'order.cancelled/1 "not-dispensed"',
      'order.cancelled/1 "released"',
      'order.imported/1',
      'order.issued/1',
    ]);
    expect(seen.codes.size).toBeGreaterThan(25);
  });

  it('two pharmacies that claim at once: one gets it, the other learns the state', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([PHARMACY_A, PHARMACY_B], { minLength: 2 }), ([first, second]) => {
        if (!first || !second) return;
        const won = tell(tell(NOTHING_YET, issue()).story, claim(first)).story;
        const lost = tell(won, claim(second));
        expect(inOneLine(lost.story.rx)).toBe(`active | claimed@${first.org}`);
        expect(lost.refusal).toEqual({ code: 'prescription.claimed-elsewhere', facts: { state: 'claimed' } });
      }),
    );
  });
});
