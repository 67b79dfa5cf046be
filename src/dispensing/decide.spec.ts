import { describe, expect, it } from 'vitest';
import {
  AUDITOR,
  cancel,
  CHAIN,
  claim,
  closeNotDispensed,
  context,
  dispense,
  DOCTOR,
  given,
  importOrder,
  issue,
  med,
  NOON,
  outcomeOf,
  PHARMACY_A,
  PHARMACY_B,
  release,
  report,
  type Row,
  type Step,
  tablets,
  tell,
  THE_PATIENT,
  timer,
} from '../../test/support/domain.js';
import { decideClaim, mayRecoverSecret } from './decide.js';

const NO_TOKEN = { tokenHash: null };
const WRONG_TOKEN = { tokenHash: 'guess' };
const AFTER_VALIDITY = '2027-01-16T12:00:00.000Z';
const LAST_MINUTE = '2027-01-16T04:59:30.000Z';
const twoFills = [issue({ refills: 1 }), claim(), dispense('30', 'd1')];
const remainder = [issue(), claim(), dispense('10', 'd1'), release()];

const CLAIMS: Row[] = [
  ['ERP-02: with the token', [issue()], claim(), 'active | claimed@pharmacy-a'],
  [
    'by nomination',
    [issue({ nominatedPharmacy: 'pharmacy-a' })],
    claim(PHARMACY_A, NO_TOKEN),
    'active | claimed@pharmacy-a',
  ],
  [
    'with the token, though another pharmacy is nominated',
    [issue({ nominatedPharmacy: 'pharmacy-a' })],
    claim(PHARMACY_B),
    'active | claimed@pharmacy-b',
  ],
  [
    'a refill, by the pharmacy that holds the refills',
    twoFills,
    claim(PHARMACY_A, NO_TOKEN),
    'active | dispensed claimed@pharmacy-a',
  ],
  ['a refill elsewhere, with the token', twoFills, claim(PHARMACY_B), 'prescription.refills-elsewhere'],
  [
    'a refill, by anybody when nothing was dispensed',
    [issue({ refills: 1 }), claim(), closeNotDispensed()],
    claim(PHARMACY_B),
    'active | not-dispensed claimed@pharmacy-b',
  ],
  ['a remainder, by another pharmacy', remainder, claim(PHARMACY_B), 'active | claimed@pharmacy-b'],
  [
    'a remainder, by the same pharmacy without the token',
    remainder,
    claim(PHARMACY_A, NO_TOKEN),
    'active | claimed@pharmacy-a',
  ],
  [
    'EPS-06: after a release, by another pharmacy',
    [issue(), claim(), release()],
    claim(PHARMACY_B),
    'active | claimed@pharmacy-b',
  ],
  [
    'on its first day, before the timer',
    [issue({ earliestFillOn: '2026-01-20' })],
    claim(PHARMACY_A, {}, '2026-01-20T05:00:00.000Z'),
    'active | claimed@pharmacy-a',
  ],
  ['on its last day', [issue()], claim(PHARMACY_A, {}, LAST_MINUTE), 'active | claimed@pharmacy-a'],

  [
    'ERP-08: before its first day',
    [issue({ earliestFillOn: '2026-01-20' })],
    claim(PHARMACY_A, {}, '2026-01-20T04:59:59.000Z'),
    'prescription.not-ready',
  ],
  ['ERP-04: after its last day', [issue()], claim(PHARMACY_A, {}, AFTER_VALIDITY), 'prescription.expired'],
  ['EPS-05: expired', [issue(), timer(AFTER_VALIDITY)], claim(), 'prescription.expired'],
  ['EPS-05: cancelled', [issue(), cancel()], claim(), 'prescription.cancelled'],
  ['EPS-05: dispensed', [issue(), claim(), dispense('30', 'd1')], claim(), 'prescription.dispensed'],
  ['EPS-05: not dispensed', [issue(), claim(), closeNotDispensed()], claim(), 'prescription.not-dispensed'],
  [
    'US-02: a second fill of schedule II',
    [issue({ medication: med('2') }), claim(), dispense('30', 'd1', { medication: med('2') })],
    claim(),
    'prescription.dispensed',
  ],
  [
    'EPS-04, ERP-03: another pharmacy holds it',
    [issue(), claim()],
    claim(PHARMACY_B),
    'prescription.claimed-elsewhere',
  ],
  ['the same pharmacy holds it', [issue(), claim()], claim(), 'prescription.already-claimed-by-you'],
  ['a cancel is pending', [issue(), claim(), cancel()], claim(PHARMACY_B), 'prescription.cancel-pending'],
  ['history: no token is right for it', [importOrder()], claim(), 'claim.token-wrong'],
  ['history: no pharmacy has a relation to it', [importOrder()], claim(PHARMACY_A, NO_TOKEN), 'ledger.chain-unknown'],
  [
    'a report of a dispense is no relation',
    [issue(), report('30', 'd1')],
    claim(PHARMACY_A, NO_TOKEN),
    'ledger.chain-unknown',
  ],
  [
    'ERP-02: a wrong token, by a pharmacy that held it',
    [issue(), claim(), release()],
    claim(PHARMACY_A, WRONG_TOKEN),
    'claim.token-wrong',
  ],
  [
    'no token, by a pharmacy that held it',
    [issue(), claim(), release()],
    claim(PHARMACY_A, NO_TOKEN),
    'claim.not-entitled',
  ],
  ['ERP-02: a wrong token without a relation', [issue()], claim(PHARMACY_A, WRONG_TOKEN), 'claim.token-wrong'],
  [
    'a wrong token without a relation, whatever became of the order',
    [issue(), cancel()],
    claim(PHARMACY_A, WRONG_TOKEN),
    'claim.token-wrong',
  ],
  [
    'no token without a relation, though it is held',
    [issue(), claim()],
    claim(PHARMACY_B, NO_TOKEN),
    'ledger.chain-unknown',
  ],
  [
    'a wrong token, by the pharmacy that the refills stay with',
    [issue({ refills: 1 }), claim(), dispense('30', 'd1')],
    claim(PHARMACY_A, WRONG_TOKEN),
    'claim.token-wrong',
  ],
  [
    'a wrong token, by the nominated pharmacy',
    [issue({ nominatedPharmacy: 'pharmacy-a' })],
    claim(PHARMACY_A, WRONG_TOKEN),
    'claim.token-wrong',
  ],
  ['a wrong token, by the holder', [issue(), claim()], claim(PHARMACY_A, WRONG_TOKEN), 'claim.token-wrong'],
  ['an order that has not arrived', [cancel()], claim(), 'claim.token-wrong'],
  ['an order that has not arrived, without a token', [cancel()], claim(PHARMACY_A, NO_TOKEN), 'ledger.chain-unknown'],
  ['a prescriber', [issue()], claim(DOCTOR), 'access.forbidden'],
  ['the patient', [issue()], claim(THE_PATIENT), 'access.forbidden'],
];

const RELEASES: Row[] = [
  ['EPS-06: the holder gives it back', [issue(), claim()], release(), 'active | ready'],
  ['the holder gives a remainder back', [issue(), claim(), dispense('10', 'd1')], release(), 'active | ready'],
  [
    'EPS-08: a pending cancel is applied',
    [issue({ refills: 1 }), claim(), cancel()],
    release(),
    'cancelled | cancelled cancelled',
  ],
  [
    'a pending cancel takes the remainder',
    [issue({ refills: 1 }), claim(), dispense('10', 'd1'), cancel()],
    release(),
    'cancelled | dispensed cancelled',
  ],
  ['ERP-09: a wrong secret', [issue(), claim()], release(PHARMACY_A, 'guess'), 'claim.secret-wrong'],
  ['twice', [issue(), claim(), release()], release(), 'claim.none'],
  ['a pharmacy that held it before', [issue(), claim(), release(), claim(PHARMACY_B)], release(), 'claim.not-holder'],
  [
    'a nominated pharmacy that does not hold it',
    [issue({ nominatedPharmacy: 'pharmacy-b' }), claim()],
    release(PHARMACY_B),
    'claim.not-holder',
  ],
  ['a pharmacy without a relation', [issue(), claim()], release(PHARMACY_B), 'ledger.chain-unknown'],
  ['ERP-11: the patient', [issue(), claim()], release(THE_PATIENT), 'access.forbidden'],
];

const CLOSINGS: Row[] = [
  ['nothing is handed over', [issue(), claim()], closeNotDispensed(), 'completed | not-dispensed'],
  ['the refills go on', [issue({ refills: 1 }), claim()], closeNotDispensed(), 'active | not-dispensed ready'],
  ['a remainder is given up', [issue(), claim(), dispense('10', 'd1')], closeNotDispensed(), 'completed | dispensed'],
  [
    'EPS-09: a pending cancel is applied',
    [issue({ refills: 1 }), claim(), cancel()],
    closeNotDispensed(),
    'cancelled | not-dispensed cancelled',
  ],
  [
    'EPS-09: after a part',
    [issue({ refills: 1 }), claim(), dispense('10', 'd1'), cancel()],
    closeNotDispensed(),
    'cancelled | dispensed cancelled',
  ],
  ['ERP-09: a wrong secret', [issue(), claim()], closeNotDispensed(PHARMACY_A, 'guess'), 'claim.secret-wrong'],
  ['an auditor', [issue(), claim()], closeNotDispensed(AUDITOR), 'access.forbidden'],
];

const claimed = [issue(), claim()];
const DISPENSES: Row[] = [
  ['in full', claimed, dispense('30', 'd1'), 'completed | dispensed'],
  ['in full, as another decimal', claimed, dispense('30.00', 'd1'), 'completed | dispensed'],
  ['in full, with refills', [issue({ refills: 1 }), claim()], dispense('30', 'd1'), 'active | dispensed ready'],
  ['the last refill', [...twoFills, claim()], dispense('30', 'd2'), 'completed | dispensed dispensed'],
  ['in part', claimed, dispense('10', 'd1'), 'active | part-dispensed@pharmacy-a'],
  [
    'US-21: part, then the rest, one fill',
    [...claimed, dispense('10', 'd1')],
    dispense('20', 'd2'),
    'completed | dispensed',
  ],
  [
    'tenths add up exactly',
    [issue({ quantity: tablets('0.3') }), claim(), dispense('0.1', 'd1')],
    dispense('0.2', 'd2'),
    'completed | dispensed',
  ],
  [
    'the remainder, by another pharmacy',
    [...remainder, claim(PHARMACY_B)],
    dispense('20', 'd2', {}, PHARMACY_B),
    'completed | dispensed',
  ],
  ['a permitted substitute', claimed, dispense('30', 'd1', { medication: med('11') }), 'completed | dispensed'],
  [
    'while a cancel is pending: it came too late',
    [...claimed, cancel()],
    dispense('30', 'd1'),
    'completed | dispensed',
  ],
  [
    'while a cancel is pending: the refills go',
    [issue({ refills: 1 }), claim(), cancel()],
    dispense('30', 'd1'),
    'cancelled | dispensed cancelled',
  ],
  [
    'while a cancel is pending: a part',
    [...claimed, cancel()],
    dispense('10', 'd1'),
    'active | part-dispensed@pharmacy-a',
  ],
  [
    'handed over on the last day, recorded the next',
    [issue(), claim(PHARMACY_A, {}, LAST_MINUTE)],
    dispense('30', 'd1', { whenHandedOver: LAST_MINUTE }, PHARMACY_A, AFTER_VALIDITY),
    'completed | dispensed',
  ],
  [
    'by a clock that is half a minute fast',
    claimed,
    dispense('30', 'd1', { whenHandedOver: '2026-01-15T17:00:30.000Z' }),
    'completed | dispensed',
  ],

  [
    'US-12: more than authorised, schedule II',
    [issue({ medication: med('2'), quantity: tablets('60') }), claim(), dispense('40', 'd1', { medication: med('2') })],
    dispense('21', 'd2', { medication: med('2') }),
    'dispense.over-authorised',
  ],
  [
    'US-22: more than authorised, schedule III',
    [issue({ medication: med('3') }), claim(), dispense('10', 'd1', { medication: med('3') })],
    dispense('21', 'd2', { medication: med('3') }),
    'dispense.over-authorised',
  ],
  [
    'more than the remainder, by another pharmacy',
    [...remainder, claim(PHARMACY_B)],
    dispense('21', 'd2', {}, PHARMACY_B),
    'dispense.over-authorised',
  ],
  ['the least bit more', claimed, dispense('30.000000001', 'd1'), 'dispense.over-authorised'],
  [
    'in another unit',
    claimed,
    dispense('30', 'd1', { quantity: { value: '30', unit: 'mL' } }),
    'quantity.unit-mismatch',
  ],
  ['nothing', claimed, dispense('0', 'd1'), 'quantity.invalid'],
  ['another drug', claimed, dispense('30', 'd1', { medication: med('4') }), 'dispense.drug-not-allowed'],
  [
    'the same ingredient in another strength',
    claimed,
    dispense('30', 'd1', { medication: med('12') }),
    'dispense.drug-not-allowed',
  ],
  [
    'a substitute that is not permitted',
    [issue({ substitutionAllowed: false }), claim()],
    dispense('30', 'd1', { medication: med('11') }),
    'dispense.drug-not-allowed',
  ],
  [
    'a substitute for a drug that is not known',
    [issue({ medication: med('999') }), claim()],
    dispense('30', 'd1'),
    'dispense.drug-not-allowed',
  ],
  [
    'the same code of another system',
    claimed,
    dispense('30', 'd1', { medication: { ...med('1'), system: 'ndc' } }),
    'dispense.drug-not-allowed',
  ],
  [
    'in the future',
    claimed,
    dispense('30', 'd1', { whenHandedOver: '2026-01-15T17:01:01.000Z' }),
    'dispense.in-future',
  ],
  [
    'before the claim',
    claimed,
    dispense('30', 'd1', { whenHandedOver: '2026-01-15T16:58:00.000Z' }),
    'dispense.before-claim',
  ],
  [
    'US-06: before the first day',
    [issue({ earliestFillOn: '2026-05-01' }), claim(PHARMACY_A, {}, '2026-05-01T04:00:10.000Z')],
    dispense('30', 'd1', { whenHandedOver: '2026-05-01T03:59:50.000Z' }),
    'dispense.too-early',
  ],
  [
    'US-15: after the last day',
    [issue({ medication: med('3') }), claim(PHARMACY_A, {}, '2026-07-15T16:00:00.000Z')],
    dispense('30', 'd1', { medication: med('3') }, PHARMACY_A, '2026-07-16T16:00:00.000Z'),
    'prescription.expired',
  ],
  [
    'US-14: on the last day',
    [issue({ medication: med('3') }), claim()],
    dispense('30', 'd1', { medication: med('3') }, PHARMACY_A, '2026-07-15T16:00:00.000Z'),
    'completed | dispensed',
  ],
  ['with an id that was used', [...claimed, dispense('10', 'd1')], dispense('10', 'd1'), 'dispense.duplicate'],
  ['ERP-09: a wrong secret', claimed, dispense('30', 'd1', { secretHash: 'guess' }), 'claim.secret-wrong'],
  [
    'the secret of an earlier claim',
    [issue({ refills: 1 }), claim(), dispense('30', 'd1'), claim()],
    dispense('30', 'd2', { secretHash: 'secret-ann-0' }),
    'claim.secret-wrong',
  ],
  ['without a claim', [...claimed, release()], dispense('30', 'd1'), 'claim.none'],
  ['US-38: by somebody who is no pharmacist', claimed, dispense('30', 'd1', {}, DOCTOR), 'access.forbidden'],
  ['after it expired', [...claimed, timer(AFTER_VALIDITY)], dispense('30', 'd1'), 'claim.none'],
];

describe('dispensing', () => {
  it.each<[string, Step, Step, string]>([
    ['without a quantity', importOrder(), claim(PHARMACY_A, NO_TOKEN), 'prescription.historical'],
    ['with a quantity has no token', importOrder({ quantity: tablets('30') }), claim(), 'claim.token-wrong'],
    [
      'on hold',
      importOrder({ sourceStatus: 'on-hold', quantity: tablets('30') }),
      claim(PHARMACY_A, NO_TOKEN),
      'prescription.not-active',
    ],
  ])('claim: history %s, should a pharmacy ever hold it', (_, imported, when, then) => {
    const { rx, ...story } = given(imported);
    const held = rx && { ...rx, pharmacies: [{ org: 'pharmacy-a', since: NOON }] };
    expect(tell({ ...story, rx: held }, when).refusal?.code).toBe(then);
  });

  it('dispense: as ordered, unless it says otherwise', () => {
    const asOrdered = { medication: null, daysSupply: null };
    const { events } = given(issue({ daysSupply: 28 }), claim(), dispense('30', 'd1', asOrdered));
    expect(events.at(-1)?.data).toMatchObject({ medication: med('1'), daysSupply: 28, quantity: tablets('30') });
    const part = tell(given(issue(), claim()), dispense('10', 'd1', asOrdered));
    expect(part.refusal).toMatchObject({ code: 'request.invalid', facts: { errors: [{ path: 'daysSupply' }] } });
  });

  it.each(CLAIMS)('claim: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });
  it.each(RELEASES)('release: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });
  it.each(CLOSINGS)('not dispensed: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });
  it.each(DISPENSES)('dispense: %s', (...row) => {
    expect(outcomeOf(row)).toBe(row[3]);
  });

  it.each([
    ['token', [issue()]],
    ['nomination', [issue({ nominatedPharmacy: 'pharmacy-a' })]],
    ['holder', twoFills],
  ] as const)('a claim says that it rests on the %s', (by, before) => {
    const step = claim(PHARMACY_A, by === 'token' ? {} : NO_TOKEN);
    expect(tell(given(...before), step).story.events.at(-1)?.data).toMatchObject({ by });
  });

  it('a claim before the timer says first that the issue is ready', () => {
    const story = given(issue({ earliestFillOn: '2026-01-20' }));
    const told = tell(story, claim(PHARMACY_A, {}, '2026-01-20T12:00:00.000Z'));
    expect(told).toMatchObject({ types: ['issue.readied/1', 'dispense.claimed/1'] });
  });

  it('a claim keeps the hash of its secret, made for its issue', () => {
    const { rx } = given(...twoFills, claim());
    expect(rx?.issues[1]?.claim).toMatchObject({ pharmacy: 'pharmacy-a', secretHash: 'secret-ann-1' });
  });

  it('EPS-04: the other pharmacy learns the state and nothing else', () => {
    expect(tell(given(issue(), claim()), claim(PHARMACY_B)).refusal?.facts).toEqual({ state: 'claimed' });
  });

  it('ERP-14: the holder is told that its secret can be recovered', () => {
    const refusal = tell(given(issue(), claim()), claim()).refusal;
    expect(refusal?.facts).toEqual({ issue: 0, claimId: 'claim-ann', recover: 'secret' });
  });

  it('US-12: the refusal says how much is left', () => {
    const told = tell(given(...claimed, dispense('12.5', 'd1')), dispense('20', 'd2'));
    expect(told.refusal?.facts).toEqual({ remaining: tablets('17.5') });
  });

  it('a dispense says when it happened, whether it completes the issue, and that it is a substitute', () => {
    const whenHandedOver = '2026-01-15T16:59:30.000Z';
    const told = tell(given(...claimed), dispense('10', 'd1', { medication: med('11'), whenHandedOver }));
    expect(told.story.events.at(-1)).toMatchObject({
      occurredAt: whenHandedOver,
      data: { issue: 0, claimId: 'claim-ann', dispenseId: 'd1' },
      derived: { pharmacy: 'pharmacy-a', completesIssue: false, substituted: true },
    });
  });

  it('the secret never stands in an event', () => {
    const { events } = given(...claimed, dispense('10', 'd1'), release());
    expect(events.filter(({ data }) => 'secretHash' in data)).toEqual([]);
  });

  it.each([
    ['released', release()],
    ['not-dispensed', closeNotDispensed()],
    ['dispensed', dispense('30', 'd1')],
  ] as const)('a pending cancel is applied because it was %s', (cause, step) => {
    const { events, rx } = tell(given(issue({ refills: 1 }), claim(), cancel()), step).story;
    expect(events.at(-1)).toMatchObject({ type: 'order.cancelled/1', derived: { cause } });
    expect(rx?.cancel?.effect).toBe('applied');
  });

  it('asks for the secret of the issue whose turn it is', () => {
    const { rx } = given(...twoFills);
    if (!rx) throw new Error('no chain');
    const asked: number[] = [];
    const command = { claimId: 'c', tokenHash: 'token', secretHash: (issued: number) => String(asked.push(issued)) };
    decideClaim(rx, command, { ...context(PHARMACY_A), chain: CHAIN });
    expect(asked).toEqual([1]);
  });
});

describe('recovering a claim secret', () => {
  const { rx } = given(issue(), claim());
  if (!rx) throw new Error('no chain');

  it('ERP-14: the holder may', () => {
    expect(mayRecoverSecret(rx, PHARMACY_A)).toMatchObject({ issue: 0, claim: { claimId: 'claim-ann' } });
    expect(mayRecoverSecret(rx, PHARMACY_A, 0)).toMatchObject({ issue: 0 });
  });

  it.each([
    ['another pharmacy', rx, PHARMACY_B, 0],
    ['the prescriber', rx, DOCTOR, 0],
    ['a prescriber whose organisation has the same id', rx, { ...DOCTOR, org: 'pharmacy-a' }, 0],
    ['the holder, of another issue', rx, PHARMACY_A, 1],
    ['the holder, once it was given back', given(issue(), claim(), release()).rx ?? rx, PHARMACY_A, 0],
  ])('ERP-14: not %s', (_, state, actor, number) => {
    expect(mayRecoverSecret(state, actor, number)).toBeNull();
  });
});
