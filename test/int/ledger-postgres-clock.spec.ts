import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SettableClock } from '../../src/time/clock.js';
import type { Config } from '../../src/config/config.js';
import { decodeEntry } from '../../src/ledger/core/record/entry.js';
import type { Ledger } from '../../src/ledger/start/open-ledger.js';
import { LedgerUnavailable } from '../../src/ledger/unavailable.js';
import { verified } from '../faults/verified.js';
import { sharedPostgres } from '../support/engines.js';
import { COUNTING, count, counterModel, openTestLedger, temporaryFolder, testConfig } from '../support/ledger.js';

const MINUTE = 60_000;

/** Instants of all events in log order: `recordedAt`, and the minute in the entry. */
async function times(ledger: Ledger, ids: readonly string[]): Promise<{ recorded: number[]; entries: number[] }> {
  const events = (await Promise.all(ids.map((id) => ledger.reader.events(id)))).flat();
  const rows = await ledger.db.query<{ entry: Buffer }>('SELECT entry FROM entry ORDER BY idx');
  return {
    recorded: events.toSorted((a, b) => a.index - b.index).map(({ recordedAt }) => Date.parse(recordedAt)),
    entries: rows.map(({ entry }) => Date.parse(decodeEntry(entry).time)),
  };
}
const rises = (instants: readonly number[]): boolean =>
  instants.every((instant, at) => at === 0 || instant >= (instants[at - 1] as number));

describe('a clock that moves, on SQLite', () => {
  const folder = temporaryFolder();
  const start = Date.parse('2026-03-01T12:00:30.000Z');
  let clock: SettableClock;
  let config: Config;
  let ledger: Ledger;

  beforeEach(async () => {
    folder.remove();
    clock = new SettableClock(start);
    config = testConfig(folder.path);
    ledger = await openTestLedger(config, clock);
  });
  afterEach(async () => {
    await ledger.close();
    folder.remove();
  });

  it('never lets times run backwards', async () => {
    const ids: string[] = [];
    for (const offset of [0, 2, -2, 1, -3, 3, 3]) {
      clock.set(start + offset * MINUTE);
      const id = randomUUID();
      ids.push(id);
      await ledger.writer.commit(count(id, 1));
    }
    const { recorded, entries } = await times(ledger, ids);
    expect(recorded.map((instant) => (instant - start) / MINUTE)).toEqual([0, 2, 2, 2, 2, 3, 3]);
    expect(rises(entries)).toBe(true);
    expect(entries.every((instant) => instant % MINUTE === 0)).toBe(true);
    expect((await verified(config, COUNTING)).findings).toEqual([]);
  });

  it('refuses while the log is more than five minutes ahead, and clamps nothing', async () => {
    const [id, refused] = [randomUUID(), randomUUID()];
    clock.set(start + 6 * MINUTE);
    await ledger.writer.commit(count(id, 1));
    clock.set(start);
    await expect(ledger.writer.commit(count(refused, 1))).rejects.toThrow(LedgerUnavailable);
    // A restart knows no better.
    await ledger.close();
    ledger = await openTestLedger(config, clock);
    await expect(ledger.writer.commit(count(refused, 1))).rejects.toThrow('ahead of the clock');
    expect(await ledger.reader.chain(refused, counterModel)).toBeNull();
    clock.set(start + MINUTE);
    await ledger.writer.commit(count(refused, 1));
    const { recorded } = await times(ledger, [id, refused]);
    expect(recorded).toEqual([start + 6 * MINUTE, start + 6 * MINUTE]);
  });
});

const postgres = await sharedPostgres();

describe.skipIf(postgres.missing)("a clock that is off PostgreSQL's", () => {
  const folder = temporaryFolder();
  let config: Config;
  let opened: Ledger[] = [];

  beforeEach(async () => {
    folder.remove();
    config = testConfig(folder.path, { DATABASE_URL: await postgres.createDatabase() });
  });
  afterEach(async () => {
    for (const ledger of opened.splice(0)) await ledger.close();
    folder.remove();
  });

  async function nodeWith(offset: number): Promise<{ ledger: Ledger; clock: SettableClock }> {
    const clock = new SettableClock(Date.now() + offset);
    const ledger = await openTestLedger(config, clock);
    opened = [...opened, ledger];
    return { ledger, clock };
  }

  it('refuses to write when it is off by more than five minutes, and writes again when it is set right', async () => {
    for (const offset of [6 * MINUTE, -6 * MINUTE]) {
      const { ledger, clock } = await nodeWith(offset);
      const id = randomUUID();
      await expect(ledger.writer.commit(count(id, 1))).rejects.toThrow("clock is off the database's");
      expect(await ledger.reader.chain(id, counterModel)).toBeNull();
      clock.set(Date.now());
      expect((await ledger.writer.commit(count(id, 1))).ok).toBe(true);
    }
  });

  it('notices a jump at once, not at the next time it looks', async () => {
    const { ledger, clock } = await nodeWith(0);
    const id = randomUUID();
    await ledger.writer.commit(count(id, 1));
    clock.advance(-6 * MINUTE);
    await expect(ledger.writer.commit(count(id, 1))).rejects.toThrow(LedgerUnavailable);
    clock.set(Date.now());
    clock.advance(6 * MINUTE);
    await expect(ledger.writer.commit(count(id, 1))).rejects.toThrow(LedgerUnavailable);
    expect((await ledger.reader.chain(id, counterModel))?.state.total).toBe(1);
  });

  it('is compared once more by the batch itself', async () => {
    const { ledger, clock } = await nodeWith(0);
    const id = randomUUID();
    // Measures the clocks and writes nothing, so that no earlier entry betrays the jump.
    expect((await ledger.writer.commit(count(id, -1))).ok).toBe(false);
    clock.advance(-6 * MINUTE);
    await expect(ledger.writer.commit(count(id, 1))).rejects.toThrow("clock is off the database's");
    expect(await ledger.reader.chain(id, counterModel)).toBeNull();
  });

  it("records the database's time, so that nodes within five minutes agree and no time runs backwards", async () => {
    const nodes = [await nodeWith(4 * MINUTE), await nodeWith(-4 * MINUTE), await nodeWith(0)];
    const began = Date.now();
    const ids = Array.from({ length: 30 }, () => randomUUID());
    for (const [at, id] of ids.entries()) await nodes[at % 3]?.ledger.writer.commit(count(id, 1));
    const { recorded, entries } = await times((nodes[0] as (typeof nodes)[0]).ledger, ids);
    expect(recorded).toHaveLength(30);
    expect(rises(recorded) && rises(entries)).toBe(true);
    // The same machine here: the database's clock is this one.
    expect(recorded.every((instant) => instant > began - MINUTE && instant < Date.now() + MINUTE)).toBe(true);
    expect((await verified(config, COUNTING)).findings).toEqual([]);
  });

  it('refuses while the log is ahead of the database by more than five minutes', async () => {
    const { ledger } = await nodeWith(0);
    await ledger.writer.commit(count(randomUUID(), 1));
    await ledger.writer.side((db) => db.query('UPDATE log_head SET time = time + ?', [6 * MINUTE]));
    await ledger.close();
    const { ledger: later } = await nodeWith(0);
    await expect(later.writer.commit(count(randomUUID(), 1))).rejects.toThrow('ahead of the clock');
  });
});
