import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { openWriter } from '../../src/database/data-source.js';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import type { Command, Outcome } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { verified } from '../faults/verified.js';
import { postgresPrograms, sharedPostgres } from '../support/engines.js';
import {
  COUNTING,
  count,
  type Counter,
  counterModel,
  good,
  openTestLedger,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { startPostgres } from '../support/postgres.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/wait.js';

const keyed = (id: string, key: string = id): Command =>
  count(id, 1, { idempotency: { client: testActor.id, key, request: 'same' } });

/** Name of the writer's prepared statement: it stands in every batch that is sent, whatever the batch holds. */
const isBatch = (bytes: Buffer): boolean => bytes.includes('rxledger_batch');
const isCommit = (bytes: Buffer): boolean => bytes.includes('COMMIT');

const postgres = await sharedPostgres();
const programs = await postgresPrograms();

describe.skipIf(postgres.missing)('ledger writer on PostgreSQL, when the connection breaks', () => {
  const folder = temporaryFolder();
  /** Few enough to go in one batch. */
  const ids = Array.from({ length: 10 }, () => randomUUID());
  let direct: string;
  let proxy: TcpProxy;
  let config: Config;
  let ledger: Ledger;
  let reports: string[];

  beforeEach(async () => {
    folder.remove();
    direct = await postgres.createDatabase();
    proxy = await startProxy(direct);
    config = testConfig(folder.path, { DATABASE_URL: proxy.through(direct) });
    reports = [];
    ledger = await openTestLedger(config, new Clock(), (event) => void reports.push(event));
    good(await ledger.writer.commit(count(randomUUID(), 1)));
  });
  afterEach(async () => {
    proxy.accept();
    proxy.resume();
    await ledger.close();
    await proxy.close();
    folder.remove();
  });

  const total = async (id: string): Promise<number> => (await ledger.reader.chain(id, counterModel))?.state.total ?? 0;

  async function sql(statement: string): Promise<void> {
    const client = new Client({ connectionString: direct });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  }

  /** Ledger on the same database that does not go through the proxy. */
  const rivalOf = (): Promise<Ledger> => openTestLedger(testConfig(folder.path, { DATABASE_URL: direct }));

  /** Retries as a client does that keeps its idempotency key. */
  const persist = (command: Command): Promise<Outcome> =>
    until(
      () =>
        ledger.writer.commit(command).catch((error: unknown) => {
          if (error instanceof LedgerUnavailable) return null;
          throw new Error('a failure that is no outage', { cause: error });
        }),
      { what: 'the ledger takes writes again' },
    );

  async function soundAfterwards(entries: number): Promise<void> {
    const report = await verified(config, COUNTING);
    expect(report.findings).toEqual([]);
    expect(report.size).toBe(entries);
  }

  it('a batch cut off before it reached the server is 503, and its retry commits once', async () => {
    const sprung = proxy.cutWhen(isBatch, 'before');
    const results = await Promise.allSettled(ids.map((id) => ledger.writer.commit(keyed(id))));
    await sprung;
    expect(results.map((result) => result.status === 'rejected' && result.reason instanceof LedgerUnavailable)).toEqual(
      ids.map(() => true),
    );
    expect(reports).toEqual(['ledger.outcome-unknown', 'ledger.outage']);
    const retried = await Promise.all(ids.map((id) => ledger.writer.commit(keyed(id)).then(good)));
    expect(retried.every(({ replayed }) => !replayed)).toBe(true);
    expect(await Promise.all(ids.map(total))).toEqual(ids.map(() => 1));
    await soundAfterwards(11);
  });

  it('a batch whose answer was lost is found and answered as a success', async () => {
    const sprung = proxy.cutWhen(isBatch, 'after');
    const outcomes = await Promise.all(ids.map((id) => ledger.writer.commit(keyed(id)).then(good)));
    await sprung;
    const receipts = outcomes.flatMap((outcome) => outcome.receipts);
    expect(receipts.map((receipt) => verifyReceipt(receipt, ledger.writer.vkey).ok)).toEqual(ids.map(() => true));
    expect(reports).toEqual(['ledger.outcome-unknown']);
    const again = await Promise.all(ids.map((id) => ledger.writer.commit(keyed(id)).then(good)));
    expect(again.map(({ replayed, events }) => [replayed, events[0]?.index])).toEqual(
      outcomes.map(({ events }) => [true, events[0]?.index]),
    );
    await soundAfterwards(11);
  });

  it.each(['before', 'after'] as const)('under the head lock, a cut %s COMMIT reached the server', async (moment) => {
    const rival = await rivalOf();
    const [shared, own] = [randomUUID(), randomUUID()];
    const over = new AbortController();
    const race = (async () => {
      while (!over.signal.aborted) await rival.writer.commit(count(shared, 1));
    })();
    try {
      let cut = false;
      const sprung = proxy.cutWhen(isCommit, moment).then(() => (cut = true));
      const seen: { key: string; error: unknown; outcome: Outcome | null }[] = [];
      // Two lost races in a row lead to the lock, whose COMMIT springs the trap.
      await until(
        async () => {
          const key = randomUUID();
          const entry = { key, error: null as unknown, outcome: null as Outcome | null };
          entry.outcome = await ledger.writer.commit(keyed(own, key)).catch((error: unknown) => {
            entry.error = error;
            return null;
          });
          seen.push(entry);
          return cut;
        },
        { what: 'a batch under the lock', timeout: 45_000 },
      );
      await sprung;
      over.abort();
      await race;
      const last = seen.at(-1);
      if (moment === 'before') expect(last?.error).toBeInstanceOf(LedgerUnavailable);
      else expect(last?.outcome).toMatchObject({ ok: true, replayed: false });
      const again = good(await persist(keyed(own, last?.key)));
      expect(again.replayed).toBe(moment === 'after');
      expect(await total(own)).toBe(seen.length);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    } finally {
      over.abort();
      await race.catch(() => undefined);
      await rival.close();
    }
  });

  it('keeps looking for an outcome that it could not learn in time, and signs nothing until then', async () => {
    await ledger.close();
    ledger = await openLedger(config, new Clock(), COUNTING, (event) => void reports.push(event), {
      resolveMs: 300,
    });
    const [id, other] = [randomUUID(), randomUUID()];
    const sprung = proxy.cutWhen(isBatch, 'after').then(() => proxy.refuse());
    await expect(ledger.writer.commit(keyed(id))).rejects.toThrow(LedgerUnavailable);
    await sprung;
    await expect(ledger.writer.commit(keyed(other))).rejects.toThrow(LedgerUnavailable);
    await expect(ledger.writer.side(() => Promise.resolve())).rejects.toThrow(LedgerUnavailable);
    proxy.accept();
    const first = good(await ledger.writer.commit(keyed(id)));
    expect(first.replayed).toBe(true);
    expect(good(await ledger.writer.commit(keyed(other))).replayed).toBe(false);
    await soundAfterwards(3);
  });

  it('does not run a batch again whose outcome cannot be asked for', async () => {
    // The role may not sign in for a while: a refusal that is no lost connection.
    const role = `rxledger_test_${randomUUID().slice(0, 8)}`;
    await sql(`CREATE ROLE ${role} SUPERUSER LOGIN`);
    await ledger.close();
    const url = new URL(proxy.through(direct));
    url.username = role;
    config = testConfig(folder.path, { DATABASE_URL: url.href });
    ledger = await openTestLedger(config, new Clock(), (event) => void reports.push(event));
    await sql(`ALTER ROLE ${role} NOLOGIN`);
    const sprung = proxy.cutWhen(isBatch, 'after').then(() => proxy.cut());
    const writes = Promise.allSettled(ids.map((id) => ledger.writer.commit(count(id, 1))));
    await sprung;
    await until(() => reports.length > 3, { what: 'the outcome is looked for in vain' });
    await sql(`ALTER ROLE ${role} LOGIN`);
    const results = await writes;
    expect(results.map(({ status }) => status)).toEqual(ids.map(() => 'fulfilled'));
    expect(new Set(reports)).toEqual(new Set(['ledger.outcome-unknown', 'ledger.outcome-still-unknown']));
    await soundAfterwards(11);
    await ledger.close();
    ledger = await openTestLedger(testConfig(folder.path, { DATABASE_URL: direct }));
    await sql(`DROP ROLE ${role}`);
  });

  it('comes back by itself when the server ends its connections', async () => {
    const id = randomUUID();
    let sent = 0;
    let acknowledged = 0;
    const over = new AbortController();
    const load = (async () => {
      while (!over.signal.aborted) {
        sent++;
        await persist(keyed(id, `k${sent}`)).then(good);
        acknowledged++;
      }
    })();
    for (let round = 1; round <= 5; round++) {
      const before = acknowledged;
      await until(() => acknowledged > before + 3, { what: 'writes go on' });
      await sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'rxledger%'",
      );
    }
    const before = acknowledged;
    await until(() => acknowledged > before + 3, { what: 'writes go on' });
    over.abort();
    await load;
    expect(await total(id)).toBe(sent);
    await soundAfterwards(sent + 1);
  });

  it('answers within bounded time when packets vanish, and goes on when they come again', async () => {
    // The same setting as in production, but smaller.
    const url = new URL(proxy.through(direct));
    url.searchParams.set('query_timeout', '1000');
    await ledger.close();
    const impatient = testConfig(folder.path, { DATABASE_URL: url.href });
    ledger = await openLedger(impatient, new Clock(), COUNTING, () => undefined, { resolveMs: 300 });
    const id = randomUUID();
    good(await ledger.writer.commit(count(randomUUID(), 1)));
    proxy.stall();
    await expect(ledger.writer.commit(keyed(id))).rejects.toThrow(LedgerUnavailable);
    await expect(ledger.writer.side((db) => db.query('SELECT 1'))).rejects.toThrow(LedgerUnavailable);
    proxy.resume();
    good(await persist(keyed(id)));
    expect(await total(id)).toBe(1);
    await soundAfterwards(3);
  });

  it('waits for no answer for ever', async () => {
    const source = await openWriter(config);
    const limits = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'];
    try {
      const [row] = await source.query<{ name: string; setting: string }[]>(
        `SELECT max(setting::int) AS most, min(setting::int) AS least FROM pg_settings WHERE name IN (${limits.map((name) => `'${name}'`).join(', ')})`,
      );
      expect(row).toEqual({ most: 15_000, least: 5000 });
      // Longer than the server's own limits, which say more.
      expect((source.options as { extra?: { query_timeout?: number } }).extra?.query_timeout).toBe(20_000);
    } finally {
      await source.destroy();
    }
  });

  it('a listener that throws undoes and repeats nothing', async () => {
    ledger.writer.onCommit(() => {
      throw new Error('a listener at fault');
    });
    const outcomes = await Promise.all(ids.map((id) => ledger.writer.commit(count(id, 1)).then(good)));
    expect(new Set(outcomes.map(({ events }) => events[0]?.index)).size).toBe(ids.length);
    await ledger.writer.commit(count(randomUUID(), 1));
    await soundAfterwards(12);
    expect(reports).toContain('ledger.listener-failed');
  });
});

describe.skipIf(programs.missing)('ledger writer on a PostgreSQL that crashes', () => {
  it('answers 503 while it is away, and has every acknowledged write afterwards', async () => {
    const server = await startPostgres();
    const folder = temporaryFolder();
    const config = testConfig(folder.path, { DATABASE_URL: await server.createDatabase() });
    const ledger = await openLedger(config, new Clock(), COUNTING, () => undefined, { resolveMs: 300 });
    try {
      const id = randomUUID();
      const acknowledged: number[] = [];
      for (let round = 0; round < 3; round++) {
        const command = keyed(id, `round ${round}`);
        acknowledged.push(good(await ledger.writer.commit(count(id, 1))).events[0]?.index as number);
        await server.kill();
        await expect(ledger.writer.commit(command)).rejects.toThrow(LedgerUnavailable);
        await server.start();
        const outcome = await until(() => ledger.writer.commit(command), { what: 'the ledger takes writes again' });
        acknowledged.push(good(outcome).events[0]?.index as number);
      }
      expect(acknowledged).toEqual([0, 1, 2, 3, 4, 5]);
      const view = await until(() => ledger.reader.chain(id, counterModel), { what: 'reading works again' });
      expect((view.state satisfies Counter).total).toBe(6);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    } finally {
      await ledger.close();
      await server.stop();
      folder.remove();
    }
  });
});
