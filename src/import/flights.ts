/** Runs work concurrently, up to a limit. */
export class Flights {
  private readonly going = new Set<Promise<void>>();
  private failure: { readonly error: unknown } | null = null;

  /** @param limit number of pieces of work that may run at once */
  constructor(private readonly limit: number) {}

  /**
   * Starts a piece of work as soon as there is room.
   * @throws the error of an earlier piece of work; nothing more is started then
   */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.going.size >= this.limit) await Promise.race(this.going);
    this.check();
    const flight = work()
      .catch((error: unknown) => {
        this.failure ??= { error };
      })
      .finally(() => this.going.delete(flight));
    this.going.add(flight);
  }

  /** Waits for all started work. @throws the first error of any of it */
  async landed(): Promise<void> {
    await Promise.all(this.going);
    this.check();
  }

  private check(): void {
    if (this.failure) throw this.failure.error;
  }
}
