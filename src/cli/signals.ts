/** An interval that never comes round in practice, ms: a timer holds 2^31 - 1 at most. */
const LONG_MS = 2 ** 30;

/**
 * SIGINT and SIGTERM of a running service. Nest closes it at the first one, and gives the process the same
 * signal again when it has done so. A second one from somebody who does not want to wait counts as that.
 */
export class Signals {
  /** Whether one came. */
  any = false;
  /** Resolves once a signal has closed the service. */
  readonly closed: Promise<void>;
  private heard: () => void = () => undefined;
  /** Once the service is closed nothing else keeps the process until the second signal is delivered. */
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

  /** Signals are the process's own again, and nothing here keeps it. */
  ignore(): void {
    clearInterval(this.awake);
    process.off('SIGINT', this.heard).off('SIGTERM', this.heard);
  }
}
