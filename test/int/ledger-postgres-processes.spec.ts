import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.js';
import { openReader } from '../../src/database/data-source.js';
import { dbOf } from '../../src/database/db.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import { Vault } from '../../src/ledger/keys/vault.js';
import { entriesOf, verified } from '../faults/verified.js';
import { sharedPostgres } from '../support/engines.js';
import { COUNTING, openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';
import { rounds } from '../support/length.js';
import { startNode, type TestProcess } from '../support/process.js';
import { until } from '../support/wait.js';

const postgres = await sharedPostgres();

interface WriterProcess extends TestProcess {
  readonly name: string;
  /** Acknowledged writes: tag, log index, entry. */
  acknowledged(): { tag: string; index: number; entry: Buffer }[];
}

describe.skipIf(postgres.missing)('several processes on one PostgreSQL log', () => {
  const folder = temporaryFolder();
  const chains = Array.from({ length: 5 }, () => randomUUID());
  let url: string;
  let config: Config;
  let children: WriterProcess[] = [];
  let watch: Client;

  beforeEach(async () => {
    folder.remove();
    url = await postgres.createDatabase();
    config = testConfig(folder.path, { DATABASE_URL: url });
    await (await openTestLedger(config)).close();
    watch = new Client({ connectionString: url });
    await watch.connect();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill();
    await watch.end();
    folder.remove();
  });

  async function start(name: string, flights = 8): Promise<WriterProcess> {
    const own = new URL(url);
    own.searchParams.set('application_name', name);
    const args = [folder.path, name, String(flights), chains.join(',')];
    const child = startNode('test/faults/writer-process.js', args, { env: { DATABASE_URL: own.href } });
    const started = {
      ...child,
      name,
      acknowledged: () =>
        [...child.stdout().matchAll(/^ack (\S+) (\d+) (\S+)$/gm)].map(([, tag, index, entry]) => ({
          tag: tag as string,
          index: Number(index),
          entry: Buffer.from(entry as string, 'base64'),
        })),
    };
    children = [...children, started];
    await child.line(/^ready$/);
    return started;
  }

  /** Waits until each process has acknowledged that many writes more than now. */
  async function goOn(processes: readonly WriterProcess[], more: number): Promise<void> {
    const targets = processes.map((child) => child.acknowledged().length + more);
    await until(() => processes.every((child, at) => child.acknowledged().length >= (targets[at] as number)), {
      what: `${processes.map(({ name }) => name).join(', ')} write on`,
    });
  }

  /**
   * All end in good order; then every acknowledged write is in the log once, and nothing is there twice.
   * @returns how many were written
   */
  async function soundAtTheEnd(): Promise<number> {
    for (const child of children) expect([child.name, await child.terminate()]).toEqual([child.name, 0]);
    const report = await verified(config, COUNTING);
    expect(report.findings).toEqual([]);
    const entries = await entriesOf(config);
    const acknowledged = children.flatMap((child) => child.acknowledged());
    expect(acknowledged.filter(({ index, entry }) => !entries.get(index)?.equals(entry))).toEqual([]);
    expect(new Set(acknowledged.map(({ index }) => index)).size).toBe(acknowledged.length);
    const tags = await tagsInTheLog();
    expect(new Set(tags).size).toBe(tags.length);
    // Each write was repeated until it was acknowledged.
    expect(tags.toSorted()).toEqual(acknowledged.map(({ tag }) => tag).toSorted());
    expect(report.size).toBe(tags.length);
    return tags.length;
  }

  async function tagsInTheLog(): Promise<string[]> {
    const source = await openReader(config);
    try {
      const origin = config.env.LOG_ORIGIN as string;
      const reader = new LedgerReader(dbOf(source), new Vault(config.keysDir, origin), origin);
      const events = (await Promise.all(chains.map((id) => reader.events(id)))).flat();
      return events.map(({ data }) => data['tag'] as string);
    } finally {
      await source.destroy();
    }
  }

  it('all write, and all that was acknowledged is there once', async () => {
    const all = await Promise.all(['a', 'b', 'c'].map((name) => start(name)));
    const each = rounds(50, 150);
    await goOn(all, each);
    expect(await soundAtTheEnd()).toBeGreaterThanOrEqual(3 * each);
  });

  it('a process that is stopped under load holds the others up for a bounded time', async () => {
    const [stopped, ...others] = (await Promise.all(['a', 'b', 'c'].map((name) => start(name)))) as [
      WriterProcess,
      ...WriterProcess[],
    ];
    await goOn([stopped], 20);
    for (let round = 0; round < rounds(3, 6); round++) {
      stopped.freeze();
      await goOn(others, 20);
      stopped.thaw();
      await goOn([stopped], 3);
    }
    expect(await soundAtTheEnd()).toBeGreaterThan(rounds(100, 200));
  });

  it('a process that is stopped while it holds the lock of the head is timed out, and recovers', async () => {
    const [stopped, ...others] = (await Promise.all(['a', 'b', 'c'].map((name) => start(name)))) as [
      WriterProcess,
      ...WriterProcess[],
    ];
    await until(
      async () => {
        const before = stopped.stdout().match(/^stops /gm)?.length ?? 0;
        process.kill(stopped.pid, 'SIGUSR2');
        await until(() => (stopped.stdout().match(/^stops /gm)?.length ?? 0) > before, {
          what: 'it loses races',
          timeout: 45_000,
        });
        if (await holdsTheHead(stopped.name)) return true;
        stopped.thaw();
        return false;
      },
      { what: 'it stops with the lock', timeout: 45_000 },
    );
    const began = Date.now();
    await goOn(others, 20);
    // The server ends an idle transaction after 5 s.
    expect(Date.now() - began).toBeLessThan(12_000);
    expect(await holdsTheHead(stopped.name)).toBe(false);
    stopped.thaw();
    await goOn([stopped], 20);
    expect(stopped.stdout()).toMatch(/^outage /m);
    expect(await soundAtTheEnd()).toBeGreaterThan(60);
  });

  /** In a transaction that waits for its client, with a row of the head locked (which takes a lock on the table too). */
  async function holdsTheHead(application: string): Promise<boolean> {
    const { rows } = await watch.query(
      `SELECT 1 FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.relation = 'log_head'::regclass
       WHERE a.application_name = $1 AND a.state = 'idle in transaction' AND l.mode = 'RowShareLock' AND l.granted`,
      [application],
    );
    return rows.length > 0;
  }
});
