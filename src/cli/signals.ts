/** An interval that never ends in practice, ms; a timer takes at most 2^31 - 1. */
const LONG_MS = 2 ** 30;

/**
 * SIGINT and SIGTERM of a running service. At the first signal Nest closes the service, and afterwards sends the
 * process the same signal again. A second signal from an impatient user counts as that one.
 */
export class Signals {
  /** Whether one came. */
  any = false;
  /** Resolves once a signal has closed the service. */
  readonly closed: Promise<void>;
  private heard: () => void = () => undefined;
  /** Keeps the process alive after the service is closed, until the second signal is delivered. */
  private readonly awake = setInterval(() => undefined, LONG_MS);

  constructor() {
    this.closed = new Promise((resolve) => {
      this.heard = () => {
        if (this.any) resolve();
        this.any = true;
      };
    });
    process.on('SIGINT', this.heard).on('SIGTERM', this.heard);
  }

  /** Gives signals their default effect again, and no longer keeps the process alive. */
  ignore(): void {
    clearInterval(this.awake);
    process.off('SIGINT', this.heard).off('SIGTERM', this.heard);
  }
}
