import { Injectable } from '@nestjs/common';

/** What `/health/ready` asks of one part of the service. */
export interface ReadinessCheck {
  /** For example `database`, `redis`, `relay`. */
  readonly name: string;
  /** Whether the part can serve now, and what helps an operator. A throw or no answer in time means down. */
  check(): Promise<{ up: boolean } & Readonly<Record<string, number | boolean | string>>>;
}

/** Modules add their checks in `onModuleInit`, so that health need not import them. */
@Injectable()
export class Readiness {
  private readonly registered: ReadinessCheck[] = [];

  add(check: ReadinessCheck): void {
    this.registered.push(check);
  }

  get checks(): readonly ReadinessCheck[] {
    return this.registered;
  }
}
