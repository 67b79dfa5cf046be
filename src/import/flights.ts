/** Work that goes on side by side, so much of it at a time and no more. */
export class Flights {
  private readonly going = new Set<Promise<void>>();
  private failure: { readonly error: unknown } | null = null;

  /** @param limit most pieces of work under way */
  constructor(private readonly limit: number) {}

  /**
   * Starts a piece of work, as soon as there is room.
   * @throws what an earlier piece of work threw: nothing more is started then
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

  /** Waits for all that was started. @throws what a piece of work threw first */
  async landed(): Promise<void> {
    await Promise.all(this.going);
    this.check();
  }

  private check(): void {
    if (this.failure) throw this.failure.error;
  }
}
