import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openReader } from '../../src/database/data-source.js';
import { once } from '../../src/identity/once.js';
import type { Idempotency } from '../../src/ledger/model.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { REQUEST_LIFE_MS } from '../../src/ledger/store/remembered-requests.js';
import { pruneRows } from '../../src/ledger/upkeep/prune-rows.js';
import { verifyDatabase } from '../../src/ledger/verify/database.js';
import { SettableClock } from '../../src/time/clock.js';
import { bothEngines } from '../support/engines.js';
import { count, COUNTING, openTestLedger, temporaryFolder, testActor, testConfig } from '../support/ledger.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const pruneRequests = (writer: Ledger['writer'], table: 'idempotency' | 'idempotent_request', now: number) =>
  pruneRows(writer, table, 'used_at', now - REQUEST_LIFE_MS);
const request = (key: string, body = 'body'): Idempotency => ({ client: testActor.id, key, request: body });

describe.each(await bothEngines())('requests on $engine', ({ missing, database }) => {
  const folder = temporaryFolder();
  let ledger: Ledger;
  let config: ReturnType<typeof testConfig>;
  beforeAll(async () => {
    if (missing !== null) return;
    config = testConfig(folder.path, await database());
    ledger = await openTestLedger(config);
  });
  afterAll(async () => {
    await ledger?.close();
    folder.remove();
  });

  const commit = async (id: string, key: string, body: string) => {
    const outcome = await ledger.writer.commit(count(id, 1, { idempotency: request(key, body) }));
    if (!outcome.ok) return outcome.refusal.code;
    return outcome.replayed ? 'replayed' : 'new';
  };
  const verify = async (now: number) => {
    const source = await openReader(config);
    try {
      const { vault, writer } = ledger;
      const clock = new SettableClock(now);
      const models = COUNTING;
      const { findings } = await verifyDatabase({ source, vkey: writer.vkey, vault, remembered: null, models, clock });
      return findings.map(({ kind, table }) => `${kind} ${table}`);
    } finally {
      await source.destroy();
    }
  };

  it.skipIf(missing !== null)('are remembered for 30 days; then the same key is a new request', async () => {
    const id = randomUUID();
    const now = Date.now();
    expect(await commit(id, 'k', 'one')).toBe('new');
    await pruneRequests(ledger.writer, 'idempotency', now + 29 * DAY_MS);
    expect(await commit(id, 'k', 'one')).toBe('replayed');
    expect(await commit(id, 'k', 'other')).toBe('idempotency.key-reused');
    await pruneRequests(ledger.writer, 'idempotency', now + 31 * DAY_MS);
    expect(await commit(id, 'k', 'other')).toBe('new');
    // What was forgotten too early is missed; what is older than that is not.
    expect(await verify(now)).toEqual(['missing idempotency']);
    expect(await verify(now + 31 * DAY_MS)).toEqual([]);
  });

  it.skipIf(missing !== null)('are forgotten page by page; those of signed commands stay', async () => {
    const [key, body] = [Buffer.alloc(32, 1), Buffer.alloc(64)];
    const { writer, vault } = ledger;
    for (let made = 0; made < 1201; made += 1)
      await writer.side((db) =>
        once(db, vault, request(`row-${made}`), made, () => Promise.resolve({ ref: String(made) })),
      );
    await writer.side((db) =>
      db.query('INSERT INTO idempotency (key, request, first, count, chains, used_at) VALUES (?, ?, ?, ?, ?, NULL)', [
        key,
        body,
        0,
        1,
        '[0]',
      ]),
    );
    const now = Date.now() + 31 * DAY_MS;
    for (const table of ['idempotency', 'idempotent_request'] as const) await pruneRequests(writer, table, now);
    const left = (table: string) => writer.side((db) => db.query<{ key: Buffer }>(`SELECT key FROM ${table}`));
    expect(await left('idempotent_request')).toEqual([]);
    expect(await left('idempotency')).toEqual([{ key }]);
  });
});
