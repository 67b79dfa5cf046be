import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';

/** What `/health/ready` asks of one part of the service. */
export interface ReadinessCheck {
  /** For example `database`, `redis`, `relay`. */
  readonly name: string;
  /** Whether the part can serve now, and what helps an operator. A throw, or no answer in time, means down. */
  check(): Promise<{ up: boolean } & Facts>;
}

type Facts = Readonly<Record<string, number | boolean | string>>;

/** The answer about one part: its facts, then whether it is up. */
export type PartState = Facts & { readonly status: 'up' | 'down' };

/** A part that does not answer within this time is down. */
const CHECK_MILLISECONDS = 2000;

/** Modules add their checks in `onModuleInit`, so that health need not import them. */
@Injectable()
export class Readiness implements BeforeApplicationShutdown {
  private readonly checks: ReadinessCheck[] = [];
  private closing = false;

  add(check: ReadinessCheck): void {
    this.checks.push(check);
  }

  /** Load balancers send nothing more to a process that is shutting down. */
  beforeApplicationShutdown(): void {
    this.closing = true;
  }

  /**
   * Asks all parts at once. Never rejects.
   * @returns whether this process can serve, and the state of each part by name, the parts that are down last
   */
  async ask(): Promise<{ ready: boolean; details: Record<string, PartState> }> {
    const states = await Promise.all(
      this.checks.map(async (part): Promise<[string, PartState]> => [part.name, await stateOf(part)]),
    );
    const up = states.filter(([, { status }]) => status === 'up');
    const down = states.filter(([, { status }]) => status === 'down');
    return { ready: down.length === 0 && !this.closing, details: Object.fromEntries([...up, ...down]) };
  }
}

async function stateOf(part: ReadinessCheck): Promise<PartState> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ up: false }>((resolve) => {
    timer = setTimeout(() => resolve({ up: false }), CHECK_MILLISECONDS);
  });
  try {
    const { up, ...facts } = await Promise.race([part.check(), late]);
    return { ...facts, status: up ? 'up' : 'down' };
  } catch {
    return { status: 'down' };
  } finally {
    clearTimeout(timer);
  }
}
