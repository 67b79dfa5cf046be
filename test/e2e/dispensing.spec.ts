import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { localDate } from '../../src/time/legal-days.js';
import {
  accepted,
  type Answer,
  type Api,
  claim,
  dispense,
  issue,
  LISINOPRIL,
  refusalOf,
  startApi,
  tablets,
} from '../support/api.js';

const DAY = 86_400_000;

let api: Api;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const statusOf = ({ body }: Answer) => [
  body.prescription.status,
  ...body.prescription.issues.map((one: { status: string }) => one.status),
];

describe('the life of a prescription', () => {
  it('is issued, claimed by token, dispensed in parts, and its refill stays at that pharmacy', async () => {
    const rx = await issue(api, { refills: 1 });
    const [pharmacist, other] = [api.as('pharmacist'), api.as('pharmacist2')];

    const found = accepted(await pharmacist.post(`${rx.path}/lookup`, { token: rx.token }));
    expect(found.body).toMatchObject({ id: rx.id, status: 'active', directions: 'one in the morning' });

    const claimed = accepted(await pharmacist.post(`${rx.path}/claim`, { token: rx.token }));
    expect(claimed.body.claim).toEqual({
      claimId: expect.any(String),
      issue: 0,
      secret: expect.stringMatching(/^[\w-]{22}$/),
    });
    expect(claimed.body.prescription.issues[0]).toMatchObject({ status: 'claimed', holder: api.orgs.pharmacy });
    const { secret } = claimed.body.claim;

    const part = accepted(
      await pharmacist.post(`${rx.path}/dispenses`, { secret, quantity: tablets('10'), daysSupply: 10 }),
    );
    expect(part.status).toBe(201);
    expect(statusOf(part)).toEqual(['active', 'part-dispensed', 'future']);
    expect(part.body.prescription.issues[0].dispensed).toEqual(tablets('10'));
    expect(part.body.prescription.runOut).toMatchObject({ daysLeft: 10 });

    const rest = accepted(
      await pharmacist.post(`${rx.path}/dispenses`, { secret, quantity: tablets('20'), daysSupply: 20 }),
    );
    expect(statusOf(rest)).toEqual(['active', 'dispensed', 'ready']);

    expect(refusalOf(await other.post(`${rx.path}/claim`, { token: rx.token }))).toBe(
      '409 prescription.refills-elsewhere',
    );
    const refill = accepted(await pharmacist.post(`${rx.path}/claim`));
    expect(refill.body.claim.issue).toBe(1);
    const last = accepted(
      await pharmacist.post(`${rx.path}/dispenses`, { secret: refill.body.claim.secret, quantity: tablets('30') }),
    );
    expect(statusOf(last)).toEqual(['completed', 'dispensed', 'dispensed']);
    expect(last.body.prescription.dispenses).toMatchObject([
      { dispenseId: part.body.dispenseId, issue: 0, daysSupply: 10, reported: false, reversed: false },
      { dispenseId: rest.body.dispenseId, issue: 0, daysSupply: 20 },
      { dispenseId: last.body.dispenseId, issue: 1, daysSupply: 30, medication: LISINOPRIL },
    ]);
    expect(last.body.prescription.runOut).toMatchObject({ daysLeft: 60 });

    for (const answer of [claimed, part, rest, refill, last]) {
      const checked = verifyReceipt(answer.body.receipt, api.vkey);
      expect(checked).toMatchObject({ ok: true, entry: { chain: rx.id } });
    }
  });

  it('is taken back by who dispensed it, and the issue returns to their claim', async () => {
    const rx = await issue(api);
    const dispenseId = await dispense(api, rx, await claim(api, rx));
    const answer = accepted(
      await api.as('pharmacist').post(`${rx.path}/dispenses/${dispenseId}/reverse`, { reason: 'not-collected' }),
    );
    expect(answer.body).toMatchObject({ id: rx.id, dispenseId });
    expect(statusOf(answer)).toEqual(['active', 'claimed']);
    expect(answer.body.prescription.dispenses).toMatchObject([{ dispenseId, reversed: true }]);
    expect(answer.body.prescription.runOut).toBeNull();
  });

  it('is released to the next pharmacy; a cancel that waited takes it instead', async () => {
    const rx = await issue(api);
    const secret = await claim(api, rx);
    const released = await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'out-of-stock' });
    expect(statusOf(accepted(released))).toEqual(['active', 'ready']);
    const theirs = await claim(api, rx, 'pharmacist2');
    const pending = await api.as('prescriber').post(`${rx.path}/cancel`, { reason: 'clinical-change' });
    expect(accepted(pending).body.prescription.cancel.effect).toBe('pending');
    const given = await api.as('pharmacist2').post(`${rx.path}/release`, { secret: theirs, reason: 'other' });
    expect(statusOf(accepted(given))).toEqual(['cancelled', 'cancelled']);
    expect(given.body.receipts).toHaveLength(2);
  });

  it('is closed as not dispensed', async () => {
    const rx = await issue(api);
    const secret = await claim(api, rx);
    const closed = await api.as('pharmacist').post(`${rx.path}/not-dispensed`, { secret, reason: 'not-collected' });
    expect(statusOf(accepted(closed))).toEqual(['completed', 'not-dispensed']);
  });

  it('is claimed by nomination, without a token', async () => {
    const rx = await issue(api, { nominatedPharmacy: api.orgs.pharmacy2 });
    const answer = accepted(await api.as('pharmacist2').post(`${rx.path}/claim`, { token: null }));
    expect(answer.body.prescription.issues[0].holder).toBe(api.orgs.pharmacy2);
  });
});

describe('answers that were lost', () => {
  it('a claim that is repeated with its key gives the same claim and secret', async () => {
    const rx = await issue(api);
    const key = randomUUID();
    const send = (token: string) => api.as('pharmacist').post(`${rx.path}/claim`, { token }, key);
    const first = accepted(await send(rx.token));
    const again = accepted(await send(rx.token));
    expect(again.body.claim).toEqual(first.body.claim);
    expect(again.body.prescription).toEqual(first.body.prescription);
    expect(again.body.receipt.entry).toBe(first.body.receipt.entry);
    expect(refusalOf(await send('another'))).toBe('422 idempotency.key-reused');
    await dispense(api, rx, again.body.claim.secret);
    expect(accepted(await send(rx.token)).body.claim).toEqual(first.body.claim);
  });

  it('a dispense that is repeated with its key is recorded once', async () => {
    const rx = await issue(api);
    const secret = await claim(api, rx);
    const key = randomUUID();
    const body = { secret, quantity: tablets('10'), daysSupply: 10 };
    const answers = [];
    for (let i = 0; i < 3; i++) {
      answers.push(accepted(await api.as('pharmacist').post(`${rx.path}/dispenses`, body, key)));
    }
    expect(new Set(answers.map((answer) => answer.body.dispenseId)).size).toBe(1);
    expect(answers.at(-1)?.body.prescription.dispenses).toHaveLength(1);
    const more = await api.as('pharmacist').post(`${rx.path}/dispenses`, { ...body, daysSupply: 11 }, key);
    expect(refusalOf(more)).toBe('422 idempotency.key-reused');
  });

  it('the holder asks for the secret again; nobody else can', async () => {
    const rx = await issue(api);
    const ask = (who: string) => api.as(who).get(`${rx.path}/claim`);
    expect(refusalOf(await ask('pharmacist'))).toBe('404 ledger.chain-unknown');
    const secret = await claim(api, rx);
    const recovered = accepted(await ask('pharmacist'));
    expect(recovered.body).toEqual({ claimId: expect.any(String), issue: 0, secret });
    expect(refusalOf(await ask('pharmacist2'))).toBe('404 ledger.chain-unknown');
    expect(refusalOf(await ask('prescriber'))).toBe('403 access.forbidden');
    expect(refusalOf(await ask('patient'))).toBe('403 access.forbidden');
    accepted(await api.as('pharmacist').post(`${rx.path}/release`, { secret, reason: 'other' }));
    expect(refusalOf(await ask('pharmacist'))).toBe('409 claim.none');
    await claim(api, rx, 'pharmacist2');
    expect(refusalOf(await ask('pharmacist'))).toBe('403 claim.not-holder');
  });
});

describe('who sees it', () => {
  it('a pharmacy, a practice and a patient without a relation get what a prescription that is none gives', async () => {
    const rx = await issue(api);
    const secret = await claim(api, rx);
    const dispenseId = await dispense(api, rx, secret);
    const absent = (await api.as('pharmacist2').get(`/api/prescriptions/${randomUUID()}`)).body;
    const asked: [string, Promise<Answer>][] = [
      ['another pharmacy reads', api.as('pharmacist2').get(rx.path)],
      ['another pharmacy claims by nomination', api.as('pharmacist2').post(`${rx.path}/claim`, {})],
      ['another pharmacy recovers', api.as('pharmacist2').get(`${rx.path}/claim`)],
      ['another pharmacy releases', api.as('pharmacist2').post(`${rx.path}/release`, { secret, reason: 'other' })],
      [
        'another pharmacy dispenses',
        api.as('pharmacist2').post(`${rx.path}/dispenses`, { secret, quantity: tablets('30') }),
      ],
      [
        'another pharmacy reverses',
        api.as('pharmacist2').post(`${rx.path}/dispenses/${dispenseId}/reverse`, { reason: 'other' }),
      ],
      ['another practice reads', api.as('prescriber2').get(rx.path)],
      ['another patient reads', api.as('patient2').get(rx.path)],
    ];
    for (const [what, asking] of asked) expect({ what, ...(await asking).body }).toEqual({ what, ...absent });
    expect(absent).toMatchObject({ status: 404, code: 'ledger.chain-unknown' });
    for (const who of ['pharmacist', 'prescriber', 'patient']) {
      expect(accepted(await api.as(who).get(rx.path)).body.id).toBe(rx.id);
    }
    for (const who of ['auditor', 'admin'])
      expect(refusalOf(await api.as(who).get(rx.path))).toBe('403 access.forbidden');
    expect(refusalOf(await api.request.get(rx.path))).toBe('401 access.unauthenticated');
  });
});

describe('a wrong token', () => {
  it('is told alike of a prescription, of one that is cancelled, of none and of something else', async () => {
    const [open, cancelled] = [await issue(api), await issue(api)];
    accepted(await api.as('prescriber').post(`${cancelled.path}/cancel`, { reason: 'clinical-change' }));
    const paths = [
      open.path,
      cancelled.path,
      `/api/prescriptions/${randomUUID()}`,
      `/api/prescriptions/${api.patients.patient}`,
    ];
    const told = await Promise.all(
      paths.flatMap((path) =>
        ['claim', 'lookup'].map((verb) => api.as('pharmacist2').post(`${path}/${verb}`, { token: open.path })),
      ),
    );
    expect(told.map(refusalOf)).toEqual(told.map(() => '403 claim.token-wrong'));
    expect(new Set(told.map(({ body }) => JSON.stringify(body))).size).toBe(1);
  });

  it('is refused though the pharmacy needs none: nominated, holding, or with the refills', async () => {
    const nominated = await issue(api, { nominatedPharmacy: api.orgs.pharmacy });
    const held = await issue(api);
    await claim(api, held);
    const refillable = await issue(api, { refills: 1 });
    await dispense(api, refillable, await claim(api, refillable));
    const other = (await issue(api)).token;
    for (const { path } of [nominated, held, refillable]) {
      for (const verb of ['claim', 'lookup']) {
        expect(refusalOf(await api.as('pharmacist').post(`${path}/${verb}`, { token: other }))).toBe(
          '403 claim.token-wrong',
        );
      }
      accepted(await api.as('pharmacist').get(path));
    }
    accepted(await api.as('pharmacist').post(`${refillable.path}/claim`, {}));
  });

  it('opens nothing to anybody but a pharmacist, whether it is right or wrong', async () => {
    const rx = await issue(api);
    for (const who of ['prescriber2', 'patient2'])
      expect(refusalOf(await api.as(who).post(`${rx.path}/lookup`, { token: rx.token }))).toBe(
        '404 ledger.chain-unknown',
      );
  });
});

describe('time', () => {
  it('what has expired can be neither claimed nor dispensed', async () => {
    const later = await startApi();
    try {
      const [open, held] = [await issue(later), await issue(later)];
      const secret = await claim(later, held);
      later.clock.advance(400 * DAY);
      expect(refusalOf(await later.as('pharmacist').post(`${open.path}/claim`, { token: open.token }))).toBe(
        '409 prescription.expired',
      );
      const late = await later.as('pharmacist').post(`${held.path}/dispenses`, { secret, quantity: tablets('30') });
      expect(refusalOf(late)).toBe('409 prescription.expired');
    } finally {
      await later.close();
    }
  });

  it('on its first day it can be claimed before any timer said so', async () => {
    const later = await startApi();
    try {
      const earliestFillOn = localDate(later.clock.now() + 3 * DAY, 'America/New_York');
      const rx = await issue(later, { earliestFillOn });
      later.clock.advance(3 * DAY);
      const answer = accepted(await later.as('pharmacist').post(`${rx.path}/claim`, { token: rx.token }));
      expect(answer.body.prescription.issues[0].status).toBe('claimed');
      expect(answer.body.receipts).toHaveLength(2);
    } finally {
      await later.close();
    }
  });
});

describe('two pharmacies at once', () => {
  it('have exactly one winner each of 50 times', async () => {
    const winners = new Set<string>();
    for (let race = 0; race < 50; race++) {
      const rx = await issue(api);
      const names = race % 2 === 0 ? ['pharmacist', 'pharmacist2'] : ['pharmacist2', 'pharmacist'];
      const answers = await Promise.all(names.map((who) => api.as(who).post(`${rx.path}/claim`, { token: rx.token })));
      expect(answers.map(refusalOf).toSorted()).toEqual(['200', '409 prescription.claimed-elsewhere']);
      winners.add(names[answers.findIndex(({ status }) => status === 200)] ?? 'nobody');
      const { issues } = accepted(await api.as('patient').get(rx.path)).body;
      expect([api.orgs.pharmacy, api.orgs.pharmacy2]).toContain(issues[0].holder);
    }
    expect([...winners].toSorted()).toEqual(['pharmacist', 'pharmacist2']);
  });
});

describe('the ledger', () => {
  it('verifies after all this', async () => {
    expect(await api.verify()).toMatchObject({ ok: true, findings: [], missing: 0, tampered: 0 });
  });
});
