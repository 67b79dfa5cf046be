import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accepted, type Api, claim, issue, LISINOPRIL, refusalOf, startApi } from '../support/api.js';

describe('the lists that each role starts from', () => {
  let api: Api;
  /** Newest last. */
  let mine: string[];
  const found = async (who: string, query = '') =>
    accepted(await api.as(who).get(`/api/prescriptions${query}`)).body.items.map(({ id }: { id: string }) => id);

  beforeAll(async () => {
    api = await startApi();
    const made = [];
    for (let i = 0; i < 5; i++) {
      const nominatedPharmacy = i === 4 ? api.orgs.pharmacy : null;
      const ofPatient = i === 3 ? api.patients.patient2 : api.patients.patient;
      made.push(await issue(api, { nominatedPharmacy, patient: ofPatient }));
    }
    const [first, second] = made as [Awaited<ReturnType<typeof issue>>, Awaited<ReturnType<typeof issue>>];
    await claim(api, first);
    accepted(await api.as('prescriber').post(`${second.path}/cancel`, { reason: 'other' }));
    mine = made.map(({ id }) => id);
  });
  afterAll(() => api.close());

  it('newest first: the practice what it issued, the patient their own, a pharmacy what it holds or is nominated for', async () => {
    const [a, b, c, d, e] = mine;
    expect(await found('prescriber')).toEqual([e, d, c, b, a]);
    expect(await found('patient')).toEqual([e, c, b, a]);
    expect(await found('patient2')).toEqual([d]);
    expect(await found('pharmacist')).toEqual([e, a]);
  });

  it('another practice and another pharmacy see nothing; auditor and administrator may not ask', async () => {
    expect(await found('prescriber2')).toEqual([]);
    expect(await found('pharmacist2')).toEqual([]);
    expect(await found('prescriber2', `?patient=${api.patients.patient}`)).toEqual([]);
    expect(await found('patient2', `?patient=${api.patients.patient}`)).toEqual([]);
    for (const who of ['auditor', 'admin'])
      expect(refusalOf(await api.as(who).get('/api/prescriptions'))).toBe('403 access.forbidden');
  });

  it('by status of the order, of the issue whose turn it is, and by patient', async () => {
    const [a, b, c, d, e] = mine;
    expect(await found('prescriber', '?status=cancelled')).toEqual([b]);
    expect(await found('prescriber', '?status=active')).toEqual([e, d, c, a]);
    expect(await found('prescriber', '?issueStatus=claimed')).toEqual([a]);
    expect(await found('prescriber', '?status=active&issueStatus=ready')).toEqual([e, d, c]);
    expect(await found('prescriber', `?patient=${api.patients.patient2}`)).toEqual([d]);
    expect(await found('prescriber', `?patient=${randomUUID()}`)).toEqual([]);
    for (const query of ['?status=lost', '?limit=0', '?limit=201', '?after=x', '?patient=1', '?page=2'])
      expect(refusalOf(await api.as('prescriber').get(`/api/prescriptions${query}`))).toBe('400 request.invalid');
  });

  it('page by page, each once', async () => {
    const pages: string[][] = [];
    for (let next: string | null = ''; next !== null;) {
      const query: string = next === '' ? '?limit=2' : `?limit=2&after=${next}`;
      const { body } = accepted(await api.as('prescriber').get(`/api/prescriptions${query}`));
      pages.push(body.items.map(({ id }: { id: string }) => id));
      next = body.next;
    }
    const [a, b, c, d, e] = mine;
    expect(pages).toEqual([[e, d], [c, b], [a]]);
    expect(accepted(await api.as('prescriber').get('/api/prescriptions')).body.next).toBeNull();
  });

  it('the formulary is open to everybody who is signed in', async () => {
    const { items } = accepted(await api.as('patient').get('/api/drugs?search=lisinopril%2010')).body;
    expect(items).toContainEqual(expect.objectContaining({ rxcui: LISINOPRIL.code, schedule: null }));
    expect(refusalOf(await api.request.get('/api/drugs?search=x'))).toBe('401 access.unauthenticated');
  });
});
