import { EventEmitter, once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Logger } from '@nestjs/common';
import { DOCTOR, OTHER_PATIENT, PATIENT, PHARMACY_A, SYSTEM, THE_PATIENT } from '../../test/support/domain.js';
import { SettableClock } from '../time/clock.js';
import type { LedgerWriter } from '../ledger/ledger.writer.js';
import type { ChainRef, Command, NewEvent, Outcome } from '../ledger/model.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { AccessLog } from './access-log.js';
import { type Read, withReads } from './recent-reads.js';
import type { RecentRead } from './state.js';

const START = Date.parse('2026-01-15T17:00:00.000Z');
const OTHER = '00000000-0000-4000-8000-0000000000cc';
const after = (ms: number) => new Date(START + ms).toISOString();

/** Takes commands as the ledger does, unless it is down or slow. */
class FakeWriter {
  down = false;
  refuses = false;
  /** Resolves before a command is taken. */
  slow: Promise<unknown> = Promise.resolve();
  readonly events: NewEvent[] = [];
  commits = 0;
  private readonly recent = new Map<string, RecentRead[]>();

  async commit(command: Command): Promise<Outcome> {
    this.commits += 1;
    await this.slow;
    if (this.down) throw new LedgerUnavailable('down');
    if (this.refuses) return { ok: false, refusal: { code: 'ledger.erased', facts: {} } };
    const { id } = command.chains[0] as ChainRef;
    let reads = this.recent.get(id) ?? [];
    const decision = command.decide({ states: [{ reads }], ids: [''], now: START });
    if ('refusal' in decision) throw new Error(decision.refusal.code);
    this.events.push(...decision.events);
    for (const { data } of decision.events) reads = withReads(reads, data['reads'] as unknown as Read[], after(0));
    this.recent.set(id, reads);
    return { ok: true, replayed: false, events: [], receipts: [], ids: [], states: [{ reads }] };
  }

  /** The recorded accesses: patient, reader, action, chains, when. */
  get told(): unknown[] {
    return this.events.flatMap(({ chain, data }) =>
      (data['reads'] as { reader: { id: string }; action: string; chains: string[]; at: string }[]).map(
        ({ reader, action, chains, at }) => [chain, reader.id, action, chains, at],
      ),
    );
  }
}

describe('AccessLog', () => {
  let writer: FakeWriter;
  let clock: SettableClock;
  let log: AccessLog;

  beforeEach(() => {
    vi.useFakeTimers();
    writer = new FakeWriter();
    clock = new SettableClock(START);
    log = new AccessLog(writer as unknown as LedgerWriter, clock);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('commits within a second, one event for each patient, reads of one kind together', async () => {
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    clock.advance(100);
    log.record(DOCTOR, 'prescription.read', PATIENT, ['b', 'a']);
    log.record(DOCTOR, 'patient.read', PATIENT, [PATIENT]);
    log.record(PHARMACY_A, 'prescription.read', PATIENT, ['a']);
    log.record(DOCTOR, 'prescription.read', OTHER, ['c']);
    expect(writer.commits).toBe(0);
    await vi.advanceTimersByTimeAsync(1000);
    expect(writer.events).toHaveLength(2);
    expect(writer.told).toEqual([
      [PATIENT, 'doctor', 'prescription.read', ['a', 'b'], after(0)],
      [PATIENT, 'doctor', 'patient.read', [PATIENT], after(100)],
      [PATIENT, 'ann', 'prescription.read', ['a'], after(100)],
      [OTHER, 'doctor', 'prescription.read', ['c'], after(100)],
    ]);
  });

  it('leaves out what patients read of their own, and the service', async () => {
    log.record(THE_PATIENT, 'prescription.read', PATIENT, ['a']);
    log.record(SYSTEM, 'prescription.read', PATIENT, ['a']);
    await vi.advanceTimersByTimeAsync(1000);
    await log.flush();
    expect(writer.commits).toBe(0);
    log.record(OTHER_PATIENT, 'prescription.read', PATIENT, ['a']);
    await log.flush();
    expect(writer.told).toMatchObject([[PATIENT, 'paul', 'prescription.read', ['a'], after(0)]]);
  });

  it('keeps what the ledger does not take, with the time of the first read, until it does', async () => {
    writer.down = true;
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await vi.advanceTimersByTimeAsync(2000);
    expect(writer.commits).toBeGreaterThan(1);
    clock.advance(2000);
    log.record(DOCTOR, 'prescription.read', PATIENT, ['b']);
    log.record(DOCTOR, 'prescription.read', OTHER, ['c']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(writer.events).toEqual([]);
    writer.down = false;
    await vi.advanceTimersByTimeAsync(1000);
    expect(writer.told).toEqual([
      [PATIENT, 'doctor', 'prescription.read', ['a', 'b'], after(0)],
      [OTHER, 'doctor', 'prescription.read', ['c'], after(2000)],
    ]);
    const { commits } = writer;
    await vi.advanceTimersByTimeAsync(5000);
    expect(writer.commits).toBe(commits);
  });

  it('a page that is asked for again within the hour costs nothing; a chain not named yet is recorded', async () => {
    for (const minutes of [0, 1, 30, 59]) {
      clock.set(START + minutes * 60_000);
      log.record(DOCTOR, 'prescription.list', PATIENT, ['a', 'b']);
      log.record(DOCTOR, 'prescription.read', PATIENT, ['b']);
      await log.flush();
    }
    expect(writer.commits).toBe(1);
    log.record(DOCTOR, 'prescription.read', PATIENT, ['b', 'c']);
    await log.flush();
    clock.set(START + 60 * 60_000);
    log.record(DOCTOR, 'prescription.read', PATIENT, ['b']);
    await log.flush();
    expect(writer.told).toEqual([
      [PATIENT, 'doctor', 'prescription.list', ['a', 'b'], after(0)],
      [PATIENT, 'doctor', 'prescription.read', ['c'], after(59 * 60_000)],
      [PATIENT, 'doctor', 'prescription.read', ['b'], after(60 * 60_000)],
    ]);
  });

  it('after a restart, or in another process, the hour goes on', async () => {
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await log.flush();
    const restarted = new AccessLog(writer as unknown as LedgerWriter, clock);
    clock.advance(1000);
    restarted.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await restarted.flush();
    expect(writer.events).toHaveLength(1);
    expect(writer.commits).toBe(2);
  });

  it('a flush waits for what is being committed already', async () => {
    const gate = new EventEmitter();
    writer.slow = once(gate, 'open');
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(writer.commits).toBe(1);
    const flushed = log.flush().then(() => writer.told.length);
    await vi.advanceTimersByTimeAsync(1000);
    gate.emit('open');
    expect(await flushed).toBe(1);
  });

  it('commits at once when many patients wait, and no more often for that while the ledger is down', async () => {
    writer.down = true;
    for (let i = 0; i < 10_000; i++) log.record(DOCTOR, 'prescription.list', `patient-${i}`, ['a']);
    expect(writer.commits).toBe(10_000);
    for (const stage of ['while', 'after']) {
      for (let i = 0; i < 5; i++) log.record(DOCTOR, 'prescription.list', `${stage}-${i}`, ['a']);
      expect(writer.commits).toBe(10_000);
      await vi.advanceTimersByTimeAsync(0);
    }
    writer.down = false;
    await log.flush();
    expect(writer.told).toHaveLength(10_010);
  });

  it('commits at the end, and says without a name how many it could not', async () => {
    const said = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await log.onApplicationShutdown();
    expect(writer.told).toHaveLength(1);
    expect(said).not.toHaveBeenCalled();
    writer.down = true;
    log.record(DOCTOR, 'prescription.read', PATIENT, ['b']);
    await log.onApplicationShutdown();
    expect(said.mock.calls).toEqual([['who read the data of 1 patients could not be recorded']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says the code with which the ledger refuses, and forgets those reads', async () => {
    const said = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    writer.refuses = true;
    log.record(DOCTOR, 'prescription.read', PATIENT, ['a']);
    await log.flush();
    await log.flush();
    expect(said.mock.calls).toEqual([['who read the data of a patient could not be recorded: ledger.erased']]);
    expect(writer.commits).toBe(1);
  });
});
