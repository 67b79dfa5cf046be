import { Workers } from '../reconciliation/workers.js';
import type { Service } from '../main.js';
import type { Calendar } from './calendar.js';
import { play, type Story } from './play.js';
import type { PlayClock } from './play-clock.js';
import type { Stage } from './stage.js';
import { afterwards } from './stories/afterwards.js';
import { cancelling } from './stories/cancelling.js';
import { controlled } from './stories/controlled.js';
import { filling } from './stories/filling.js';

const STORIES: readonly Story[] = [...filling, ...cancelling, ...controlled, ...afterwards];

/**
 * Plays all stories and waits until reconciliation has judged every entry. `stage.notAsExpected` lists missing and
 * unexpected discrepancies.
 * @throws {StoryBroken} when an answer differs from the story, or the play was stopped
 */
export async function playThirtyDays(
  stage: Stage,
  { app }: Service,
  calendar: Calendar,
  clock: PlayClock,
  stopped: () => boolean,
): Promise<void> {
  await play(stage, STORIES, calendar, clock, stopped);
  const workers = app.get(Workers);
  if (!(await stage.until(() => workers.settled()))) stage.fail('reconciliation did not judge every entry in time');
  for (const { class: kind, about } of await stage.unexpected()) stage.fail(`${kind} about ${about} was not expected`);
}
