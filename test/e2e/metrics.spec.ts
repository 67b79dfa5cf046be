import { randomUUID } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/cli/service/machine.js';
import { Config } from '../../src/config/config.js';
import { serve } from '../../src/main.js';
import { Clock } from '../../src/time/clock.js';
import { OPEN_BY_CLASS } from '../../src/reconciliation/reconciliation-metrics.js';
import { type Api, claim, issue, LISINOPRIL, newOrder, startApi, tablets } from '../support/api.js';
import { sharedRedis } from '../support/engines.js';
import { temporaryFolder } from '../support/ledger.js';
import { until } from '../support/wait.js';

const redis = await sharedRedis();

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function parse(text: string): Series[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', inside = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      const labels = [...inside.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', said = '']) => [label, said]);
      return { name, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(value) };
    });
}

describe.skipIf(redis.missing)('GET /metrics', () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi({ REDIS_URL: redis.url, SWEEP_SECONDS: '0.2', METRICS_TOKEN: 'a-token-of-the-scraper' });
  });
  afterAll(() => api.close());

  const scrape = async () => parse((await api.request.get('/metrics').expect(200)).text);
  const value = async (name: string, labels: Record<string, string> = {}) => {
    const found = (await scrape()).filter(
      (series) =>
        series.name === name && Object.entries(labels).every(([label, said]) => series.labels[label] === said),
    );
    return found.reduce((sum, series) => sum + series.value, 0);
  };

  it('says how batches, commits, queues, relay, sweeps and requests fare', async () => {
    const before = await value('rxledger_commit_events_total');
    const issued = await api.as('prescriber').post('/api/prescriptions', newOrder(api));
    expect(issued.status).toBe(201);
    await until(async () => (await value('rxledger_relay_lag_entries')) === 0, {
      what: 'the relay at the end of the log',
    });
    await until(async () => (await value('rxledger_job_attempts_total', { queue: 'reconcile', outcome: 'done' })) > 0, {
      what: 'a book judged',
    });
    await until(async () => (await value('rxledger_job_attempts_total', { queue: 'timers', outcome: 'done' })) > 0, {
      what: 'a sweep',
    });
    expect(await value('rxledger_commit_events_total')).toBeGreaterThan(before);
    const batches = await value('rxledger_batch_commands_count');
    expect(batches).toBeGreaterThan(0);
    expect(await value('rxledger_batch_duration_seconds_count')).toBeGreaterThanOrEqual(batches);
    expect(await value('rxledger_commit_duration_seconds_count')).toBeGreaterThanOrEqual(batches);
    expect(await value('rxledger_commit_attempts_total')).toBeGreaterThanOrEqual(batches);
    expect(await value('rxledger_commit_failures_total')).toBe(0);
    expect(await value('rxledger_queue_commands_limit')).toBe(4096);
    expect(await value('rxledger_queue_jobs', { queue: 'reconcile', state: 'failed' })).toBe(0);
    expect(await value('rxledger_relay_lag_seconds')).toBe(0);
    expect(await value('rxledger_sweep_age_seconds')).toBeGreaterThan(0);
    const taken = { method: 'POST', route: '/api/prescriptions', status: '201' };
    expect(await value('rxledger_request_duration_seconds_count', taken)).toBe(1);
  });

  it('counts open discrepancies by class, in an index', async () => {
    const rx = await issue(api);
    await claim(api, rx);
    const reported = await api.as('pharmacist').post('/api/dispense-reports', {
      order: { issuer: api.orgs.practice, number: rx.number },
      issue: 0,
      patient: api.patients.patient,
      medication: LISINOPRIL,
      quantity: tablets('99'),
      daysSupply: 30,
      whenHandedOver: new Date(api.clock.now()).toISOString(),
      reason: 'outage',
    });
    expect(reported.status).toBe(201);
    await until(async () => (await value('rxledger_discrepancies_open', { class: 'D07' })) === 1, { what: 'D07' });
    const plan = await api.db.query<{ detail: string }>(`EXPLAIN QUERY PLAN ${OPEN_BY_CLASS}`);
    expect(plan.map(({ detail }) => detail)).toEqual([
      expect.stringContaining('USING COVERING INDEX discrepancy_row_status (status=?)'),
    ]);
  });

  it('has no label that holds an id or anything else that a client sent', async () => {
    const { body } = await api.as('prescriber').post('/api/prescriptions', newOrder(api), 'secret-key');
    const id: string = body.prescription.id;
    await api.as('prescriber').get(`/api/prescriptions/${id}`);
    await api.as('pharmacist').post(`/api/prescriptions/${id}/claim`, {});
    await api.as('auditor').get('/api/receipts/0');
    await api.as('auditor').get('/api/receipts/987654321');
    await scrape();
    const known = new Set((await scrape()).map(({ labels }) => JSON.stringify(labels)));
    const strangers = [randomUUID(), 'jane-doe', '%zz', '1234567', 'a'.repeat(500)];
    for (const stranger of strangers) {
      await api.request.get(`/${stranger}`);
      await api.request.get(`/api/nothing/${stranger}?patient=${stranger}`);
      await api.request.put(`/api/prescriptions/${stranger}`);
      await api.as('prescriber').get(`/api/prescriptions/${encodeURIComponent(stranger)}`);
      await api.request.get('/metrics').set('x-forwarded-for', stranger);
    }
    const series = await scrape();
    const strange = series.filter(
      ({ labels }) => labels['route'] !== undefined && !/^(none|(\/:?[a-z.-]+|\/\*)+|\/)$/.test(labels['route']),
    );
    expect(strange).toEqual([]);
    for (const { labels } of series) {
      for (const [label, said] of Object.entries(labels)) {
        if (label === 'le' || label === 'status') expect(said).toMatch(/^(\d{3}|[\d.]+|\+Inf)$/);
        else if (label === 'class') expect(said).toMatch(/^D\d\d$/);
        else expect(said).not.toMatch(/\d{2}|[0-9a-f]{8}|jane|aaaa|%/i);
      }
    }
    // What no route takes is one series for each status, whatever the URL and the method.
    const added = series.filter(({ labels }) => !known.has(JSON.stringify(labels)) && labels['route'] === 'none');
    expect(new Set(added.map(({ labels }) => labels['method']))).toEqual(new Set(['any']));
    expect(new Set(added.map(({ labels }) => labels['status'])).size).toBeLessThanOrEqual(3);
    expect(JSON.stringify(series)).not.toContain(id);
  });

  it('is open to this machine alone; others need the token', async () => {
    const far = api.request.get('/metrics').set('x-forwarded-for', '203.0.113.7');
    expect((await far).body).toMatchObject({ status: 401, code: 'access.unauthenticated' });
    for (const token of ['a-token-of-the-scrapeR', 'a', '']) {
      const wrong = api.request.get('/metrics').set('via', '1.1 proxy').set('authorization', `Bearer ${token}`);
      expect((await wrong).status).toBe(401);
    }
    const right = api.request
      .get('/metrics')
      .set('via', '1.1 proxy')
      .auth('a-token-of-the-scraper', { type: 'bearer' });
    const answer = await right;
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
      'cache-control': 'no-store',
    });
  });
});

describe('without METRICS_TOKEN', () => {
  it('there is nothing for others, whatever they send', async () => {
    const api = await startApi();
    try {
      const far = api.request.get('/metrics').set('forwarded', 'for=203.0.113.7').auth('x', { type: 'bearer' });
      expect((await far).body).toMatchObject({ status: 404, code: 'request.not-found' });
      await api.request.get('/metrics').expect(200);
    } finally {
      await api.close();
    }
  });

  it('a worker answers on METRICS_PORT, on loopback only, and gives the port back', async () => {
    const folder = temporaryFolder();
    const port = await freePort();
    const env = { DATA_DIR: folder.path, ROLE: 'worker', METRICS_PORT: String(port), NODE_ENV: 'development' };
    const start = () => serve(Config.parse(env), new Clock(), pino({ level: 'silent' }));
    const worker = await start();
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(answer.headers.get('content-type')).toContain('text/plain');
      expect(parse(await answer.text()).map(({ name }) => name)).toContain('rxledger_relay_lag_entries');
      expect((await fetch(`http://127.0.0.1:${port}/api/self`)).status).toBe(404);
      const outside = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
      for (const { address, family, internal } of outside) {
        if (!internal && family === 'IPv4')
          await expect(fetch(`http://${address}:${port}/metrics`)).rejects.toThrow('fetch failed');
      }
      await expect(start()).rejects.toThrow(/METRICS_PORT \(\d+\) cannot be listened on: EADDRINUSE/);
    } finally {
      await worker.close();
      folder.remove();
    }
    await expect(fetch(`http://127.0.0.1:${port}/metrics`)).rejects.toThrow('fetch failed');
  });
});
