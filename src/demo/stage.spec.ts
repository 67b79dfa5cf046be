import { describe, expect, it } from 'vitest';
import { Calendar } from './calendar.js';
import type { Cast, Person } from './cast.js';
import { type Answer, type Client, StoryBroken } from './client.js';
import { PlayClock } from './play-clock.js';
import { play, scene } from './play.js';
import { Stage } from './stage.js';
import { Transcript } from './transcript.js';

const ZONE = 'America/New_York';
const calendar = new Calendar(Date.parse('2026-11-22T23:00:00Z'), ZONE);
const refusal: Answer<never> = {
  ok: false,
  problem: { type: 'urn:x', title: 'x', status: 409, code: 'prescription.expired' },
};

/** A stage whose service always answers with empty lists. */
function silentStage(): { stage: Stage; lines: string[]; who: Person } {
  const client = { get: () => Promise.resolve({ items: [], next: null }) } as unknown as Client;
  const who: Person = { name: 'Corner Pharmacy', client, org: 'corner', patient: null };
  const patient = { ...who, id: 'p' };
  const cast: Cast = { elm: who, harbor: who, corner: who, mill: who, auditor: who, pat: patient, sam: patient };
  const lines: string[] = [];
  return { stage: new Stage(cast, calendar, new Transcript((line) => lines.push(line), false), 0), lines, who };
}

describe('Stage', () => {
  it('tells day, time, who and what, the day once', () => {
    const { stage, lines, who } = silentStage();
    stage.begin(4);
    stage.at('10:05');
    stage.did(who, 'dispensed', { ok: true, body: {} });
    stage.did(who, null, { ok: true, body: {} });
    stage.refused(who, 'tried again', 'prescription.expired', refusal);
    expect(lines).toEqual([
      '',
      'Day 04 · Oct 26  10:05  Corner Pharmacy      dispensed',
      '                 10:05  Corner Pharmacy      tried again: refused, 409 prescription.expired',
    ]);
  });

  it('breaks the story when the service answers otherwise', () => {
    const { stage, who } = silentStage();
    expect(() => stage.did(who, 'dispensed', refusal)).toThrow(/dispensed was refused: 409 prescription.expired/);
    expect(() => stage.refused(who, 'claim', 'claim.none', refusal)).toThrow(StoryBroken);
    expect(() => stage.refused(who, 'claim', 'claim.none', { ok: true, body: {} })).toThrow(/accepted/);
  });

  it('remembers a discrepancy that does not appear', async () => {
    const { stage, lines, who } = silentStage();
    stage.begin(1);
    expect(await stage.found('D07', 'rx', who, 'amoxicillin')).toBeNull();
    expect(stage.notAsExpected).toEqual(['D07 over-dispense was not found: amoxicillin']);
    expect(lines.at(-1)).toContain('✗ D07 over-dispense was not found');
  });
});

describe('play', () => {
  it('plays the scenes of all stories in the order of time, with the clock at each', async () => {
    const { stage } = silentStage();
    const clock = new PlayClock(calendar.instant(1, '00:00'));
    const played: [string, string][] = [];
    const act = (name: string) => () => {
      played.push([name, new Date(clock.now()).toISOString()]);
      return Promise.resolve();
    };
    const stories = [
      () => [scene(1, '09:00', act('a')), scene(10, '09:00', act('d'))],
      () => [scene(9, '09:00', act('c')), scene(1, '09:00', act('b'))],
    ];
    await play(stage, stories, calendar, clock, () => false);
    expect(played).toEqual([
      ['a', '2026-10-23T13:00:00.000Z'],
      ['b', '2026-10-23T13:00:00.000Z'],
      ['c', '2026-10-31T13:00:00.000Z'],
      // Daylight saving time has ended in between.
      ['d', '2026-11-01T14:00:00.000Z'],
    ]);
    await expect(play(stage, stories, calendar, clock, () => true)).rejects.toThrow(StoryBroken);
  });

  it('has a clock that goes forward only, never ahead of the machine, and follows it in the end', () => {
    const clock = new PlayClock(1000);
    clock.set(2000);
    expect(clock.now()).toBe(2000);
    expect(() => clock.set(1999)).toThrow('forward only');
    expect(() => clock.set(Date.now() + 60_000)).toThrow('behind');
    clock.follow();
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(1000);
  });

  it('ends yesterday', () => {
    expect([1, 30].map((day) => calendar.date(day))).toEqual(['2026-10-23', '2026-11-21']);
  });
});
