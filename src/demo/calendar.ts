import { Temporal } from 'temporal-polyfill';
import { addDays, localDate } from '../time/legal-days.js';

/** Days of the play. The last one is yesterday, so that no entry is ahead of the machine's clock. */
export const DAYS = 30;

/** The thirty days before today in one zone. Days count from 1. */
export class Calendar {
  private readonly today: string;

  /** @param now ms since 1970 */
  constructor(
    now: number,
    private readonly zone: string,
  ) {
    this.today = localDate(now, zone);
  }

  /** @returns YYYY-MM-DD */
  date(day: number): string {
    return addDays(this.today, day - DAYS - 1);
  }

  /**
   * @param time `HH:MM` on the wall
   * @returns ms since 1970
   */
  instant(day: number, time: string): number {
    return Temporal.PlainDate.from(this.date(day)).toZonedDateTime({ timeZone: this.zone, plainTime: time })
      .epochMilliseconds;
  }

  /** @returns for example `Oct 26` */
  words(date: string): string {
    return Temporal.PlainDate.from(date).toLocaleString('en-US', { month: 'short', day: 'numeric' });
  }

  /** @returns for example `Oct 26, 09:30` */
  wordsOf(instant: string): string {
    const local = Temporal.Instant.from(instant).toZonedDateTimeISO(this.zone);
    return `${this.words(local.toPlainDate().toString())}, ${local.toPlainTime().toString({ smallestUnit: 'minute' })}`;
  }
}
