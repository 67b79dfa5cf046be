import { SettableClock } from '../time/clock.js';

/** A clock that the play sets, forwards only. At the end it follows the machine's clock for good. */
export class PlayClock extends SettableClock {
  private following = false;

  override now(): number {
    return this.following ? Date.now() : super.now();
  }

  /** @throws {Error} for an instant before the current one or after the machine's: no entry may be written then */
  override set(instant: number): void {
    if (instant < this.now()) throw new Error('the clock of the play goes forward only');
    if (instant > Date.now()) throw new Error('the clock of the play stays behind that of the machine');
    super.set(instant);
  }

  follow(): void {
    this.following = true;
  }
}
