import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localDate } from '../../src/time/legal-days.js';
import {
  accepted,
  type Answer,
  type Api,
  claim,
  dispense,
  issue,
  type Issued,
  LISINOPRIL,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';

const DAY = 86_400_000;
const LOSARTAN = { ...LISINOPRIL, code: '979485', display: 'losartan potassium 25 MG Oral Tablet' };

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

type Attempt = () => Promise<Answer>;
const claimBy =
  (who: string, rx: Issued, body: object = { token: rx.token }): Attempt =>
  () =>
    api.as(who).post(`${rx.path}/claim`, body);
const dispenseBy = (who: string, rx: Issued, body: object) => api.as(who).post(`${rx.path}/dispenses`, body);
const held = async (over: object = {}) => {
  const rx = await issue(api, over);
  return { rx, secret: await claim(api, rx) };
};

describe('dispensing is refused', () => {
  it.each<[string, () => Promise<Answer>, string]>([
    ['held elsewhere', async () => claimBy('pharmacist2', (await held()).rx)(), '409 prescription.claimed-elsewhere'],
    ['held already', async () => claimBy('pharmacist', (await held()).rx)(), '409 prescription.already-claimed-by-you'],
    [
      'wrong token, held before',
      async () => {
        const { rx, secret } = await held();
        await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' });
        return claimBy('pharmacist', rx, { token: 'guess' })();
      },
      '403 claim.token-wrong',
    ],
    [
      'no token, held before',
      async () => {
        const { rx, secret } = await held();
        await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' });
        return claimBy('pharmacist', rx, {})();
      },
      '403 claim.not-entitled',
    ],
    [
      'a cancel waits',
      async () => {
        const { rx } = await held();
        await api.as('prescriber').post(`${rx.path}/cancel`, { reason: 'clinical-change' });
        return claimBy('pharmacist2', rx)();
      },
      '409 prescription.cancel-pending',
    ],
    [
      'cancelled',
      async () => {
        const rx = await issue(api);
        await api.as('prescriber').post(`${rx.path}/cancel`, { reason: 'clinical-change' });
        return claimBy('pharmacist', rx)();
      },
      '409 prescription.cancelled',
    ],
    [
      'dispensed',
      async () => {
        const { rx, secret } = await held();
        await dispense(api, rx, secret);
        return claimBy('pharmacist2', rx)();
      },
      '409 prescription.dispensed',
    ],
    [
      'closed',
      async () => {
        const { rx, secret } = await held();
        await api.as('pharmacist').post(`${rx.path}/not-dispensed`, { secret, reason: 'not-collected' });
        return claimBy('pharmacist', rx)();
      },
      '409 prescription.not-dispensed',
    ],
    [
      'before its first day',
      async () => {
        const earliestFillOn = localDate(api.clock.now() + 3 * DAY, 'America/New_York');
        return claimBy('pharmacist', await issue(api, { earliestFillOn }))();
      },
      '409 prescription.not-ready',
    ],
    ['by a prescriber', async () => claimBy('prescriber', await issue(api))(), '403 access.forbidden'],
    [
      'with a body of something else',
      async () => claimBy('pharmacist', await issue(api), { key: 1 })(),
      '400 request.invalid',
    ],
    [
      'of an id that is none',
      async () => api.as('pharmacist').post('/api/prescriptions/1/claim', {}),
      '400 request.invalid',
    ],
    [
      'of no prescription',
      async () => api.as('pharmacist').post(`/api/prescriptions/${randomUUID()}/claim`, { token: 't' }),
      '403 claim.token-wrong',
    ],
    [
      'of a patient',
      async () => api.as('pharmacist').post(`/api/prescriptions/${api.patients.patient}/claim`, { token: 't' }),
      '403 claim.token-wrong',
    ],
  ])('claim: %s', async (_, attempt, then) => {
    expect(refusalOf(await attempt())).toBe(then);
  });

  it.each(['release', 'not-dispensed'])('%s: only by the holder, with the secret', async (verb) => {
    const { rx, secret } = await held();
    const send = (who: string, body: object) => api.as(who).post(`${rx.path}/${verb}`, body);
    const reason = 'other';
    expect(refusalOf(await send('pharmacist', { secret: 'guess', reason }))).toBe('403 claim.secret-wrong');
    expect(refusalOf(await send('pharmacist2', { secret, reason }))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await send('patient', { secret, reason }))).toBe('403 access.forbidden');
    expect(refusalOf(await send('pharmacist', { secret, reason: 'whim' }))).toBe('400 request.invalid');
    accepted(await send('pharmacist', { secret, reason }));
    expect(refusalOf(await send('pharmacist', { secret, reason }))).toBe('409 claim.none');
  });

  it('a pharmacy that held it is no longer the holder', async () => {
    const { rx, secret } = await held();
    accepted(await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' }));
    const theirs = await claim(api, rx, 'pharmacist2');
    const body = { secret: theirs, quantity: tablets('30') };
    expect(refusalOf(await dispenseBy('pharmacist', rx, body))).toBe('403 claim.not-holder');
    expect(refusalOf(await dispenseBy('pharmacist2', rx, { ...body, secret }))).toBe('403 claim.secret-wrong');
  });

  it.each<[string, object, string]>([
    ['another secret', { secret: 'guess' }, '403 claim.secret-wrong'],
    ['more than authorised', { quantity: tablets('31'), daysSupply: 31 }, '409 dispense.over-authorised'],
    ['another unit', { quantity: { value: '30', unit: 'mL' } }, '422 quantity.unit-mismatch'],
    ['nothing', { quantity: tablets('0') }, '422 quantity.invalid'],
    ['less than nothing', { quantity: tablets('-1') }, '400 request.invalid'],
    ['a number as quantity', { quantity: { value: 30, unit: '{tablet}' } }, '400 request.invalid'],
    ['a part without its days', { quantity: tablets('10') }, '400 request.invalid'],
    ['another drug', { medication: LOSARTAN }, '409 dispense.drug-not-allowed'],
    ['tomorrow', { whenHandedOver: DAY }, '422 dispense.in-future'],
    ['before it was claimed', { whenHandedOver: -DAY }, '422 dispense.before-claim'],
  ])('dispense: %s', async (_, { whenHandedOver, ...over }: { whenHandedOver?: number }, then) => {
    const { rx, secret } = await held();
    const when = whenHandedOver && { whenHandedOver: new Date(api.clock.now() + whenHandedOver).toISOString() };
    const body = { secret, quantity: tablets('30'), ...over, ...when };
    expect(refusalOf(await dispenseBy('pharmacist', rx, body))).toBe(then);
    expect(accepted(await api.as('pharmacist').get(rx.path)).body.dispenses).toEqual([]);
  });

  it('dispense: nobody holds it, or the id is taken', async () => {
    const { rx, secret } = await held();
    const dispenseId = randomUUID();
    const part = { secret, quantity: tablets('10'), daysSupply: 10, dispenseId };
    expect(accepted(await dispenseBy('pharmacist', rx, part)).body.dispenseId).toBe(dispenseId);
    expect(refusalOf(await dispenseBy('pharmacist', rx, part))).toBe('409 dispense.duplicate');
    accepted(await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' }));
    expect(refusalOf(await dispenseBy('pharmacist', rx, part))).toBe('409 claim.none');
  });

  it('over-dispense says what is left', async () => {
    const { rx, secret } = await held();
    await dispense(api, rx, secret, { quantity: tablets('12.5'), daysSupply: 12 });
    const over = await dispenseBy('pharmacist', rx, { secret, quantity: tablets('18'), daysSupply: 18 });
    expect(over.body).toMatchObject({
      type: 'urn:rxledger:problem:dispense.over-authorised',
      status: 409,
      code: 'dispense.over-authorised',
      remaining: tablets('17.5'),
    });
  });

  it('reverse: what is not there, not theirs, done already, or followed by another', async () => {
    const { rx, secret } = await held({ refills: 1 });
    const dispenseId = await dispense(api, rx, secret);
    const reverse = (who: string, id: string) =>
      api.as(who).post(`${rx.path}/dispenses/${id}/reverse`, { reason: 'wrong-entry' });
    expect(refusalOf(await reverse('pharmacist', randomUUID()))).toBe('404 dispense.unknown');
    expect(refusalOf(await reverse('pharmacist2', dispenseId))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await reverse('prescriber', dispenseId))).toBe('403 access.forbidden');
    accepted(await api.as('pharmacist').post(`${rx.path}/claim`, {}));
    expect(refusalOf(await reverse('pharmacist', dispenseId))).toBe('409 dispense.later-issue');
    const mine = accepted(await api.as('pharmacist').get(`${rx.path}/claim`)).body.secret;
    accepted(await api.as('pharmacist').post(`${rx.path}/release`, { secret: mine, reason: 'other' }));
    accepted(await reverse('pharmacist', dispenseId));
    expect(refusalOf(await reverse('pharmacist', dispenseId))).toBe('409 dispense.already-reversed');
  });

  it('reverse: another pharmacy that held it too', async () => {
    const { rx, secret } = await held();
    const dispenseId = await dispense(api, rx, secret, { quantity: tablets('10'), daysSupply: 10 });
    accepted(await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' }));
    await claim(api, rx, 'pharmacist2');
    const path = `${rx.path}/dispenses/${dispenseId}/reverse`;
    expect(refusalOf(await api.as('pharmacist2').post(path, { reason: 'other' }))).toBe('403 dispense.other-pharmacy');
  });
});
