import type { Calendar } from './calendar.js';
import { StoryBroken } from './client.js';
import type { PlayClock } from './play-clock.js';
import type { Stage } from './stage.js';

export interface Scene {
  /** 1 to 30. */
  readonly day: number;
  /** `HH:MM` on the wall. */
  readonly time: string;
  readonly act: () => Promise<void>;
}

/** One thread of events. The scenes of all stories are played together in time order. */
export type Story = (stage: Stage) => Scene[];

export const scene = (day: number, time: string, act: Scene['act']): Scene => ({ day, time, act });

/**
 * @param stopped whether to end the play; called before each scene
 * @throws {StoryBroken} when it was stopped
 */
export async function play(
  stage: Stage,
  stories: readonly Story[],
  calendar: Calendar,
  clock: PlayClock,
  stopped: () => boolean,
): Promise<void> {
  const scenes = stories
    .flatMap((story) => story(stage))
    .map((one) => ({ ...one, instant: calendar.instant(one.day, one.time) }))
    .toSorted((a, b) => a.instant - b.instant);
  let today = 0;
  for (const { day, time, instant, act } of scenes) {
    if (stopped()) throw new StoryBroken('it was stopped');
    clock.set(instant);
    if (day !== today) stage.begin(day);
    today = day;
    stage.at(time);
    await act();
  }
}
