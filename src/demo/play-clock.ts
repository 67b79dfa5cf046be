import { SettableClock } from '../time/clock.js';

/** Stands where the play puts it, and goes forward only; then follows the machine's clock for good. */
export class PlayClock extends SettableClock {
  private following = false;

  override now(): number {
    return this.following ? Date.now() : super.now();
  }

  /** @throws {Error} on an instant before the one it stands at, or after the machine's: no entry may be written there */
  override set(instant: number): void {
    if (instant < this.now()) throw new Error('the clock of the play goes forward only');
    if (instant > Date.now()) throw new Error('the clock of the play stays behind that of the machine');
    super.set(instant);
  }

  follow(): void {
    this.following = true;
  }
}
