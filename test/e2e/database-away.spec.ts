import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Api, accepted, issue, type Issued, startApi } from '../support/api.js';
import { postgresPrograms } from '../support/engines.js';
import { startPostgres, type TestPostgres } from '../support/postgres.js';
import { until } from '../support/wait.js';

const programs = await postgresPrograms();

describe.skipIf(programs.missing)('while PostgreSQL is away', () => {
  let postgres: TestPostgres;
  let api: Api;
  let rx: Issued;
  beforeAll(async () => {
    postgres = await startPostgres();
    api = await startApi({ DATABASE_URL: await postgres.createDatabase() });
    rx = await issue(api);
    for (const who of ['prescriber', 'auditor']) accepted(await api.as(who).get('/api/self'));
    await postgres.kill();
  });
  afterAll(async () => {
    await api.close();
    await postgres.stop();
  });

  it.each<[string, () => ReturnType<ReturnType<Api['as']>['get']>]>([
    ['a read of a chain', () => api.as('prescriber').get(rx.path)],
    ['a list', () => api.as('prescriber').get('/api/prescriptions')],
    ['oneself', () => api.as('auditor').get('/api/self')],
    ['a sign-in', async () => api.request.post('/api/auth/sign-in').send({ username: 'patient', password: 'x' })],
  ])('%s is answered 503 with a time to come back, and no word of the database', async (_, ask) => {
    const { status, headers, body, text } = await ask();
    expect({ status, code: body.code }).toEqual({ status: 503, code: 'ledger.unavailable' });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(text).not.toMatch(/ECONN|127\.0\.0\.1|postgres/);
  });

  it('afterwards all is well again', async () => {
    await postgres.start();
    const id = await until(async () => {
      const { status, body } = await api.as('prescriber').get(rx.path);
      return status === 200 && (body.id as string);
    });
    expect(id).toBe(rx.id);
  });
});
