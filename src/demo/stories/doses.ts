import type { SKIP_REASONS } from '../../adherence/decide.js';
import type { PrescriptionView } from '../../prescription/views/prescription-view.js';
import type { PatientPerson } from '../cast.js';
import { scene, type Scene } from '../play.js';
import { correctDose, dose, type NewDose } from '../requests.js';
import type { Stage } from '../stage.js';

export interface Doses {
  /** In everyday words. */
  readonly medicine: string;
  /** First and last day. */
  readonly days: readonly [number, number];
  /** `HH:MM` */
  readonly time: string;
  /** Reason by day. */
  readonly skipped: Readonly<Record<number, (typeof SKIP_REASONS)[number]>>;
  /** Day on which the patient corrects the first dose that was reported as skipped. */
  readonly correctedOn?: number;
}

const WEEK = 7;

/** One dose a day. It prints the first dose, each skipped one, and a sum for each week. */
export function dailyDoses(
  stage: Stage,
  who: PatientPerson,
  order: () => PrescriptionView,
  { medicine, days: [first, last], time, skipped, correctedOn }: Doses,
): Scene[] {
  let taken = 0;
  let said = 0;
  let wrong: { doseId: string; at: string } | null = null;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index).flatMap((day) => {
    const daily = scene(day, time, async () => {
      const reason = skipped[day];
      const body: NewDose = reason ? { outcome: 'skipped', reason } : { outcome: 'taken' };
      const words = reason ? `skipped ${medicine} (${reason})` : day === first ? `took the first ${medicine}` : null;
      const { dose: recorded, runOut } = stage.did(who, words, await dose(who, order(), body));
      said += 1;
      if (!reason) taken += 1;
      else wrong ??= { doseId: recorded.doseId, at: new Date(stage.calendar.instant(day, '21:00')).toISOString() };
      if (said % WEEK === 0 || day === last) {
        const lasts = runOut ? `; supply runs out ${stage.calendar.words(runOut.date)}` : '';
        stage.say(who.name, `has taken ${taken} of ${said} doses of ${medicine}${lasts}`);
      }
    });
    if (day !== correctedOn) return [daily];
    const correction = scene(day, '08:10', async () => {
      if (!wrong) return;
      const body = { outcome: 'taken', at: wrong.at, reason: 'wrong-outcome' } as const;
      const words = 'corrected yesterday’s dose: taken after all, in the evening';
      stage.did(who, words, await correctDose(who, order(), wrong.doseId, body));
      taken += 1;
    });
    return [daily, correction];
  });
}
