import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import type { Command, Outcome } from '../../src/ledger/model.js';
import { type Ledger, openLedger } from '../../src/ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { entriesOf, verified } from '../faults/verified.js';
import { sharedPostgres } from '../support/engines.js';
import {
  COUNTING,
  count,
  counterModel,
  openTestLedger,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/wait.js';

const CUTS = 24;
const CLIENTS = 48;

const keyed = (id: string, key: string): Command =>
  count(id, 1, { idempotency: { client: testActor.id, key, request: 'same' } });

const postgres = await sharedPostgres();

describe.skipIf(postgres.missing)('ledger writer on PostgreSQL, cut off again and again', () => {
  const folder = temporaryFolder();
  let direct: string;
  let proxy: TcpProxy;
  let config: Config;
  let ledger: Ledger;
  let watch: Client;

  beforeEach(async () => {
    folder.remove();
    direct = await postgres.createDatabase();
    proxy = await startProxy(direct);
    config = testConfig(folder.path, { DATABASE_URL: proxy.through(direct) });
    ledger = await openLedger(config, new Clock(), COUNTING, () => undefined, { resolveMs: 5000 });
    watch = new Client({ connectionString: direct });
    await watch.connect();
  });
  afterEach(async () => {
    await ledger.close();
    await watch.end();
    await proxy.close();
    folder.remove();
  });

  /** Repeats while the answer is an outage. */
  async function persist(command: Command): Promise<Extract<Outcome, { ok: true }>> {
    for (;;) {
      try {
        const outcome = await ledger.writer.commit(command);
        if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.code}`);
        return outcome;
      } catch (error) {
        if (!(error instanceof LedgerUnavailable)) throw error;
      }
    }
  }

  /** Backends in which a batch waits for a lock. */
  const waiting = async (): Promise<number> => {
    const { rows } = await watch.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%jsonb_array_elements%'`,
    );
    return rows[0]?.n ?? -1;
  };

  it('under load, before and behind batches: every write is there once, where its receipt says', async () => {
    const chains = Array.from({ length: 7 }, () => randomUUID());
    const over = new AbortController();
    const acknowledged: { index: number; entry: string }[] = [];
    let keys = 0;
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (!over.signal.aborted) {
        const n = keys++;
        // Some open a chain, some go on with one that many others write to.
        const id = n % 5 === 0 ? randomUUID() : (chains[n % chains.length] as string);
        const [receipt] = (await persist(keyed(id, `key ${n}`))).receipts;
        acknowledged.push({ index: receipt?.index ?? -1, entry: receipt?.entry ?? '' });
      }
    });
    for (let cut = 0; cut < CUTS; cut++) {
      const enough = acknowledged.length + 1 + Math.floor(Math.random() * 100);
      await until(() => acknowledged.length >= enough, { what: 'writes go on' });
      await proxy.cutWhen((bytes) => bytes.includes('rxledger_batch'), cut % 2 === 0 ? 'before' : 'after');
    }
    over.abort();
    await Promise.all(clients);
    const report = await verified(config, COUNTING);
    expect(report.findings).toEqual([]);
    expect(report.size).toBe(keys);
    const entries = await entriesOf(config);
    expect(new Set(acknowledged.map(({ index }) => index)).size).toBe(keys);
    expect(acknowledged.filter(({ index, entry }) => entries.get(index)?.toString('base64') !== entry)).toEqual([]);
  });

  it('ends the backend that may still carry a batch out, whichever reconnect gets through', async () => {
    const id = randomUUID();
    await persist(keyed(id, 'first'));
    const holder = new Client({ connectionString: direct });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT size FROM log_head FOR UPDATE');
    const refused = ledger.writer.commit(keyed(id, 'second')).catch((error: unknown) => error);
    await until(async () => (await waiting()) === 1, { what: 'the batch waits for the head' });
    const sprung = proxy.cutWhen((bytes) => bytes.includes('pg_terminate_backend'), 'before');
    proxy.cut();
    await sprung;
    // Sooner than the lock's own time-out of 8 s would.
    await until(async () => (await waiting()) === 0, { what: 'its backend is gone', timeout: 7000 });
    await holder.query('COMMIT');
    await holder.end();
    expect(await refused).toBeInstanceOf(LedgerUnavailable);
    expect((await persist(keyed(id, 'second'))).replayed).toBe(false);
    expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(2);
    expect((await verified(config, COUNTING)).findings).toEqual([]);
  });

  it('leaves a second ledger on the same log undisturbed', async () => {
    const other = await openTestLedger(testConfig(folder.path, { DATABASE_URL: direct }));
    try {
      const id = randomUUID();
      const both = Promise.all(
        Array.from({ length: 60 }, async (_, n) => {
          if (n % 10 === 5) proxy.cut();
          if (n % 2 === 0) return persist(keyed(id, `key ${n}`));
          return other.writer.commit(keyed(id, `key ${n}`));
        }),
      );
      expect((await both).every(({ ok }) => ok)).toBe(true);
      expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(60);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    } finally {
      await other.close();
    }
  });
});
