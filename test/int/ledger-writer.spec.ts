import { randomUUID } from 'node:crypto';
import { copyFileSync, cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSqliteReadOnly } from '../../src/database/data-source.js';
import { type Db, dbOf } from '../../src/database/db.js';
import { readHeadFile } from '../../src/ledger/store/head-file.js';
import { openCheckpoint } from '../../src/ledger/core/tlog/checkpoint.js';
import { verifyReceipt } from '../../src/ledger/core/record/receipt.js';
import { LedgerReader } from '../../src/ledger/ledger.reader.js';
import type { Outcome } from '../../src/ledger/model.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import type { Config } from '../../src/config/config.js';
import { verified } from '../faults/verified.js';
import { bothEngines } from '../support/engines.js';
import {
  COUNTING,
  count,
  type Counter,
  counterModel,
  counterRef,
  good,
  type Good,
  openTestLedger,
  temporaryFolder,
  testActor,
  testConfig,
} from '../support/ledger.js';
import { until } from '../support/wait.js';

const codeOf = (outcome: Outcome): string => (outcome.ok ? 'accepted' : outcome.refusal.code);
const idempotent = (key: string, request = 'same') => ({ idempotency: { client: testActor.id, key, request } });
const countExisting = (id: string, more = {}) => ({ ...count(id, 1, more), chains: [counterRef(id, 'existing')] });
const twenty = (write: () => Promise<unknown>) => Array.from({ length: 20 }, write);

describe.each(await bothEngines())('ledger writer on $engine', ({ missing, database }) => {
  const folder = temporaryFolder();
  let config: Config;
  let ledger: Ledger;

  beforeEach(async (context) => {
    context.skip(missing !== null, missing ?? '');
    folder.remove();
    config = testConfig(folder.path, await database());
    ledger = await openTestLedger(config);
  });
  afterEach(async () => {
    await ledger?.close();
    folder.remove();
  });

  it('gives each event a receipt that verifies with nothing but the vkey', async () => {
    const id = randomUUID();
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => ledger.writer.commit(count(id, 1)).then(good)));
    const receipts = outcomes.flatMap(({ receipts: each }) => each);
    expect(receipts.map((receipt) => verifyReceipt(receipt, ledger.writer.vkey).ok)).toEqual(receipts.map(() => true));
    expect(new Set(receipts.map(({ index }) => index)).size).toBe(40);
    expect(outcomes.map(({ states }) => (states[0] as Counter).total).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
  });

  it('lets later commands of a batch see earlier ones, and refuses without harm to the others', async () => {
    const id = randomUUID();
    const codes = await Promise.all([3, -2, -2, 1, -2].map((by) => ledger.writer.commit(count(id, by)).then(codeOf)));
    expect(codes).toEqual(['accepted', 'accepted', 'counter.below-zero', 'accepted', 'accepted']);
    expect((await ledger.reader.chain(id, counterModel))?.state).toEqual({ label: id, total: 0 });
  });

  it('commits a command on several chains whole or not at all', async () => {
    const [a, b] = [randomUUID(), randomUUID()];
    await ledger.writer.commit(count(a, 5));
    const move = (by: number) => ({
      actor: testActor,
      chains: [counterRef(a), counterRef(b)],
      decide: () => ({
        events: [
          { chain: a, type: 'counter.moved/1', data: { by: -by, label: a }, derived: {} },
          { chain: b, type: 'counter.moved/1', data: { by: by > 3 ? 'not a number' : by, label: b }, derived: {} },
        ],
      }),
    });
    await expect(ledger.writer.commit(move(4))).rejects.toThrow('by is not a number');
    expect(await ledger.reader.chain(b, counterModel)).toBeNull();
    const moved = good(await ledger.writer.commit(move(2)));
    expect(moved.states).toEqual([
      { label: a, total: 3 },
      { label: b, total: 2 },
    ]);
  });

  it('answers a repeated request with the events of the first, also after a restart', async () => {
    const id = randomUUID();
    const first = good(await ledger.writer.commit(count(id, 1, idempotent('k1'))));
    await ledger.writer.commit(count(id, 10));
    const again = good(await ledger.writer.commit(count(id, 1, idempotent('k1'))));
    expect(again.replayed).toBe(true);
    expect(again.events).toEqual(first.events);
    expect(again.states).toEqual(first.states);
    expect(again.receipts.every((receipt) => verifyReceipt(receipt, ledger.writer.vkey).ok)).toBe(true);
    expect(codeOf(await ledger.writer.commit(count(id, 2, idempotent('k1', 'other'))))).toBe('idempotency.key-reused');
    await ledger.close();
    ledger = await openTestLedger(config);
    expect(good(await ledger.writer.commit(count(id, 1, idempotent('k1')))).events).toEqual(first.events);
    expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(11);
  });

  it('answers 409 to a request whose twin is still running, and remembers no refusal', async () => {
    const id = randomUUID();
    const [one, two] = await Promise.all(
      [1, 1].map((by) => ledger.writer.commit(count(id, by, idempotent('k2'))).then(codeOf)),
    );
    expect([one, two]).toEqual(['accepted', 'idempotency.in-progress']);
    expect(codeOf(await ledger.writer.commit(count(id, -9, idempotent('k3'))))).toBe('counter.below-zero');
    await ledger.writer.commit(count(id, 20));
    expect(codeOf(await ledger.writer.commit(count(id, -9, idempotent('k3'))))).toBe('accepted');
  });

  it('gives an outside name to one chain only, whoever comes first', async () => {
    const label = 'order 1';
    const named = (id: string) => ({
      ...count(id, 1, { label }),
      chains: [
        { name: { domain: 'counter', parts: [label] }, otherwise: counterRef(id, 'new'), expect: 'absent' as const },
      ],
    });
    const ids = Array.from({ length: 10 }, () => randomUUID());
    const together = await Promise.all(ids.slice(0, 5).map((id) => ledger.writer.commit(named(id)).then(good)));
    const later = [good(await ledger.writer.commit(named(ids[5] as string)))];
    expect(new Set([...together, ...later].map((outcome) => outcome.ids[0])).size).toBe(1);
    expect(await ledger.reader.byName({ domain: 'counter', parts: [label] })).toBe(together[0]?.ids[0]);
    // Two chains that claim one name without asking: the second is a fault of its own and harms nobody else.
    const [clash, bystander] = await Promise.allSettled([
      ledger.writer.commit(count(ids[6] as string, 1, { label })),
      ledger.writer.commit(count(ids[7] as string, 1)),
    ]);
    expect(clash.status).toBe('rejected');
    expect(bystander.status).toBe('fulfilled');
  });

  it('runs only the poison command alone and fails only that', async () => {
    const ids = Array.from({ length: 20 }, () => randomUUID());
    const results = await Promise.allSettled(
      // A lone NUL cannot be stored by PostgreSQL in text; an entry too long cannot be encoded by either: here evolve throws.
      ids.map((id, i) => ledger.writer.commit(count(id, 1, i === 7 ? { data: { by: 'x' } } : {}))),
    );
    expect(results.map(({ status }) => status)).toEqual(ids.map((_, i) => (i === 7 ? 'rejected' : 'fulfilled')));
  });

  it('pushes back when the queue is full, and keeps what it took', async () => {
    await ledger.close();
    ledger = await openTestLedger(
      testConfig(folder.path, {
        ...(config.postgresUrl ? { DATABASE_URL: config.postgresUrl } : {}),
        WRITER_QUEUE: '8',
      }),
    );
    const { writer } = ledger;
    const lines = await Promise.all([
      Promise.allSettled(twenty(() => writer.commit(count(randomUUID(), 1)))),
      Promise.allSettled(twenty(() => writer.side((db) => db.query('SELECT 1')))),
      Promise.allSettled(twenty(() => writer.erase(randomUUID(), testActor))),
    ]);
    for (const results of lines) {
      const refused = results.filter((result) => result.status === 'rejected');
      expect(refused).toHaveLength(12);
      expect(refused.every(({ reason }) => reason instanceof LedgerUnavailable)).toBe(true);
    }
    // There is room again for each.
    await writer.commit(count(randomUUID(), 1));
    await writer.side((db) => db.query('SELECT 1'));
    expect(await writer.erase(randomUUID(), testActor)).toMatchObject({ chains: 0 });
  });

  it('answers a repeat with the first answer even when the command would be refused now', async () => {
    const id = randomUUID();
    await ledger.writer.commit(count(id, 5));
    const first = good(await ledger.writer.commit(count(id, -5, idempotent('spend'))));
    const again = good(await ledger.writer.commit(count(id, -5, idempotent('spend'))));
    expect(again).toMatchObject({ replayed: true, events: first.events });
    expect(codeOf(await ledger.writer.commit(count(id, -5, idempotent('spend again'))))).toBe('counter.below-zero');
  });

  it('leaves an existing chain with its subject unless the command adopts it', async () => {
    const [mine, other] = [randomUUID(), randomUUID()];
    await ledger.writer.commit(count(mine, 1));
    await ledger.writer.commit(count(other, 1));
    const as = (more: object) => ({
      ...count(mine, 1),
      chains: [{ ...counterRef(mine), subject: { subject: other }, ...more }],
    });
    await ledger.writer.commit(as({}));
    expect((await ledger.reader.chain(mine, counterModel))?.subject).toBe(mine);
    await ledger.writer.commit(as({ adopt: true }));
    expect(await ledger.reader.chain(mine, counterModel)).toMatchObject({ subject: other, state: { total: 3 } });
    expect(await ledger.reader.events(mine)).toHaveLength(3);
  });

  it('forgets a subject whole: chains end, data is gone, entries stay and still verify', async () => {
    const [gone, stays] = [randomUUID(), randomUUID()];
    const before = good(await ledger.writer.commit(count(gone, 1, idempotent('before'))));
    await ledger.writer.commit(count(gone, 2));
    await ledger.writer.commit(count(stays, 1));
    const erased = await ledger.writer.erase(gone, testActor);
    expect(erased).toEqual({ ok: true, first: expect.any(Number), chains: 1, ids: [gone] });
    expect(await ledger.writer.erase(gone, testActor)).toEqual(erased);
    // A stranger learns nothing: as a chain that never was. It is not opened again, and a repeat's own request is known.
    for (const id of [gone, randomUUID()]) {
      expect(await ledger.writer.commit(countExisting(id))).toEqual({
        ok: false,
        refusal: { code: 'ledger.chain-unknown', facts: {} },
      });
    }
    expect(codeOf(await ledger.writer.commit(count(gone, 1)))).toBe('ledger.erased');
    for (const repeat of [count(gone, 1, idempotent('before')), countExisting(gone, idempotent('before'))]) {
      expect(codeOf(await ledger.writer.commit(repeat))).toBe('ledger.erased');
    }
    expect(await ledger.reader.chain(gone, counterModel)).toBeNull();
    expect(await ledger.reader.events(gone)).toEqual([]);
    expect(await ledger.reader.byName({ domain: 'counter', parts: [gone] })).toBeNull();
    expect(verifyReceipt(await ledger.reader.receipt(before.events[0]?.index ?? -1), ledger.writer.vkey).ok).toBe(true);
    expect(codeOf(await ledger.writer.commit(count(stays, 1)))).toBe('accepted');
  });

  it.each(['a repeat', 'a receipt', 'events'])('%s that an erasure falls into says that it is erased', async (what) => {
    // Before each statement in turn, until none is left that it could fall before.
    for (let before = 1, fell = true; fell; before++) {
      const gone = randomUUID();
      const command = count(gone, 1, idempotent(gone));
      const first = good(await ledger.writer.commit(command)).events[0]!;
      const [row] = await ledger.db.query<{ num: number }>('SELECT num FROM chain WHERE id = ?', [gone]);
      let asked = 0;
      fell = false;
      const db: Db = {
        dialect: ledger.db.dialect,
        async query(sql, params) {
          if (++asked === before) fell = (await ledger.writer.erase(gone, testActor)).ok;
          return ledger.db.query(sql, params);
        },
        table: (schema, ask) => ledger.db.table(schema, ask),
      };
      const reader = new LedgerReader(db, ledger.vault, ledger.reader.origin);
      if (what === 'a repeat') {
        const outcome = await reader.replay(command, { first: first.index, count: 1, chains: [row!.num] } as never);
        expect(codeOf(outcome)).toBe(fell ? 'ledger.erased' : 'accepted');
      } else if (what === 'events') expect(await reader.events(gone)).toHaveLength(fell ? 0 : 1);
      else {
        const receipt = await reader.receipt(first.index, { disclose: () => true });
        expect(receipt).toMatchObject({ index: first.index });
        expect('payload' in receipt).toBe(!fell);
      }
      expect(before).toBeLessThan(20);
    }
  });

  it('runs side jobs in the queue; a failing one harms no other', async () => {
    const results = await Promise.allSettled([
      ledger.writer.side((db) => db.query('INSERT INTO relay_cursor (name, next) VALUES (?, ?)', ['a', 1])),
      ledger.writer.side((db) => db.query('INSERT INTO relay_cursor (name, next) VALUES (?, ?)', ['a', 2])),
      ledger.writer.side((db) => db.query('INSERT INTO relay_cursor (name, next) VALUES (?, ?)', ['b', 3])),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await ledger.db.query('SELECT name, next FROM relay_cursor ORDER BY name')).toEqual([
      { name: 'a', next: 1 },
      { name: 'b', next: 3 },
    ]);
  });

  it('has the checkpoint in the head file before it answers, and grows through tile boundaries', async () => {
    const ids = Array.from({ length: 700 }, () => randomUUID());
    let last: Good | undefined;
    for (let at = 0; at < ids.length; at += 100) {
      const batch = await Promise.all(
        ids.slice(at, at + 100).map((id) => ledger.writer.commit(count(id, 1)).then(good)),
      );
      last = batch.at(-1);
      const remembered = openCheckpoint((await readHeadFile(config.headFile)) as string, ledger.writer.vkey);
      expect(remembered.size).toBe(at + 100);
    }
    expect(verifyReceipt(last?.receipts[0] as never, ledger.writer.vkey).ok).toBe(true);
    for (const index of [0, 255, 256, 511, 512, 699]) {
      expect(verifyReceipt(await ledger.reader.receipt(index), ledger.writer.vkey).ok).toBe(true);
    }
    await ledger.close();
    ledger = await openTestLedger(config);
    expect(good(await ledger.writer.commit(count(ids[3] as string, 1))).states).toEqual([{ label: ids[3], total: 2 }]);
    await expect(ledger.reader.receipt(10_000)).rejects.toThrow(RangeError);
  });

  it('refuses to start with another origin, another key, or behind its head file', async () => {
    await ledger.writer.commit(count(randomUUID(), 1));
    const sameUrl: Record<string, string> = config.postgresUrl ? { DATABASE_URL: config.postgresUrl } : {};
    await ledger.close();
    await expect(
      openTestLedger(testConfig(folder.path, { ...sameUrl, LOG_ORIGIN: 'other.example/log' })),
    ).rejects.toThrow('LOG_ORIGIN');
    const elsewhere = temporaryFolder();
    const env = sameUrl['DATABASE_URL'] ? sameUrl : { DATABASE_URL: `sqlite:${config.sqliteFile}` };
    await expect(openTestLedger(testConfig(elsewhere.path, env))).rejects.toThrow('holds no log.key');
    expect(existsSync(join(elsewhere.path, 'keys'))).toBe(false);
    elsewhere.remove();
    ledger = await openTestLedger(config);
    await ledger.writer.side((db) => db.query('UPDATE log_head SET size = 0'));
    await ledger.close();
    await expect(openTestLedger(config)).rejects.toThrow('set back');
  });

  it('refuses to begin a new log beside the head file of another, and makes nothing', async () => {
    await ledger.writer.commit(count(randomUUID(), 1));
    await ledger.close();
    const next = temporaryFolder();
    cpSync(config.headFile, join(next.path, 'head'));
    const env = await database();
    for (const LOG_ORIGIN of ['test.example/log', undefined, 'other.example/log'])
      await expect(openTestLedger(testConfig(next.path, { ...env, LOG_ORIGIN } as never))).rejects.toThrow(
        'the database is empty, but its head file remembers 1 entries of the log test.example/log',
      );
    expect(existsSync(join(next.path, 'keys'))).toBe(false);
    next.remove();
    ledger = await openTestLedger(config);
  });

  it('takes turns with another process on the same log', async () => {
    const other = await openTestLedger(config);
    const id = randomUUID();
    try {
      const all = await Promise.all(
        Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? ledger : other).writer.commit(count(id, 1)).then(good)),
      );
      expect(new Set(all.map(({ events }) => events[0]?.index)).size).toBe(200);
      expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(200);
      // A refusal rests on what the other wrote, not on a stale cache.
      await other.writer.commit(count(id, -200));
      expect(codeOf(await ledger.writer.commit(count(id, -1)))).toBe('counter.below-zero');
      await ledger.writer.commit(count(id, 1));
      expect(codeOf(await other.writer.commit(count(id, -1)))).toBe('accepted');
    } finally {
      await other.close();
    }
  });

  it('reads anew only the chains that another process changed', async () => {
    const [mine, theirs, unread] = [randomUUID(), randomUUID(), randomUUID()];
    const bystanders = Array.from({ length: 20 }, () => randomUUID());
    const other = await openTestLedger(config);
    try {
      for (const id of [mine, theirs, ...bystanders]) await ledger.writer.commit(count(id, 1));
      const opened = vi.spyOn(ledger.vault, 'unwrapDataKey');
      const readAnew = () => [...new Set(opened.mock.calls.splice(0).map(([, chain]) => chain))];
      // Each time the first attempt is lost, also with a subject that it made.
      await other.writer.commit(count(theirs, 5));
      const [, second] = await Promise.all([mine, unread].map((id) => ledger.writer.commit(count(id, 1)).then(good)));
      expect(second?.states).toEqual([{ label: unread, total: 1 }]);
      expect(readAnew()).toEqual([]);
      await other.writer.commit(count(theirs, 5));
      expect(good(await ledger.writer.commit(count(theirs, 1))).states).toEqual([{ label: theirs, total: 12 }]);
      expect(readAnew()).toEqual([theirs]);
      // A key that is taken is found out by the write, and that too leaves the others in memory.
      await ledger.writer.commit(count(mine, 1, idempotent('twice')));
      expect(good(await ledger.writer.commit(count(mine, 1, idempotent('twice')))).replayed).toBe(true);
      readAnew();
      for (const id of bystanders) await ledger.writer.commit(count(id, 1));
      expect(readAnew()).toEqual([]);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    } finally {
      await other.close();
    }
  });

  it('never decides on what it had written for an attempt that was lost', async () => {
    const ids = Array.from({ length: 6 }, () => randomUUID());
    const other = await openTestLedger(config);
    try {
      let expected = 0;
      for (let round = 0; round < 30; round++) {
        const writes = [ledger, other, ledger, other].flatMap(({ writer }, at) =>
          ids.map((id, i) => writer.commit(count(id, i % 2 === 0 ? 2 : at - 2)).then(codeOf)),
        );
        expected += (await Promise.all(writes)).filter((code) => code === 'accepted').length;
      }
      const events = (await Promise.all(ids.map((id) => ledger.reader.events(id)))).flat();
      expect(events).toHaveLength(expected);
      expect((await verified(config, COUNTING)).findings).toEqual([]);
    } finally {
      await other.close();
    }
  });
});

describe("SQLite's write-ahead log", () => {
  it('is folded into the database file while writes go on', async () => {
    const folder = temporaryFolder();
    const config = testConfig(folder.path);
    const ledger = await openTestLedger(config);
    try {
      for (let batch = 0; batch < 100; batch++) good(await ledger.writer.commit(count(randomUUID(), 1)));
      const alone = join(folder.path, 'alone.sqlite');
      const folded = await until(async () => {
        copyFileSync(config.sqliteFile, alone);
        const copy = await openSqliteReadOnly(alone);
        const [row] = await dbOf(copy).query<{ n: number }>('SELECT count(*) AS n FROM entry');
        await copy.destroy();
        return row && row.n >= 64 ? row.n : null;
      });
      expect(folded).toBeGreaterThanOrEqual(64);
    } finally {
      await ledger.close();
      folder.remove();
    }
  });
});
