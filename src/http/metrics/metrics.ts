import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One value with its labels. A label MUST hold one of a few fixed words, never an id or anything that a client sent. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Gauges that one question answers, asked at each scrape. */
export interface Gauges<Name extends string> {
  /** What each gauge says, by its name. */
  readonly help: Readonly<Record<Name, string>>;
  /** Names of the labels that they have. */
  readonly labels?: readonly string[];
  /** A number for a gauge without labels. It MUST NOT scan a table: a scrape comes every few seconds. */
  read(): Promise<Readonly<Record<Name, number | readonly Sample[]>>>;
}

interface Asked {
  readonly labelled: boolean;
  readonly gauges: ReadonlyMap<string, Gauge>;
  readonly read: () => Promise<Readonly<Record<string, number | readonly Sample[]>>>;
}

/** A part that does not answer within this time has no values in this scrape, ms. */
const READ_MS = 2000;

/** What Prometheus scrapes. Modules add their gauges in `onModuleInit`, as they add readiness checks. */
@Injectable()
export class Metrics {
  private readonly registry = new Registry();
  private readonly asked: Asked[] = [];

  readonly contentType = this.registry.contentType;

  gauges<Name extends string>(wanted: Gauges<Name>): void {
    const { help, labels = [] } = wanted;
    const gauges = Object.entries<string>(help).map(
      ([name, said]) =>
        [name, new Gauge({ name, help: said, labelNames: [...labels], registers: [this.registry] })] as const,
    );
    this.asked.push({ gauges: new Map(gauges), labelled: labels.length > 0, read: () => wanted.read() });
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  /** @param buckets their upper bounds, in the unit that ends the name */
  histogram(name: string, help: string, buckets: readonly number[], labelNames: readonly string[] = []): Histogram {
    return new Histogram({
      name,
      help,
      buckets: [...buckets],
      labelNames: [...labelNames],
      registers: [this.registry],
    });
  }

  /** The text of a scrape. A gauge whose part does not answer is NaN, or has no series where it has labels. */
  async text(): Promise<string> {
    await Promise.all(this.asked.map(refresh));
    return this.registry.metrics();
  }
}

async function refresh({ gauges, labelled, read }: Asked): Promise<void> {
  const values = await inTime(read);
  for (const [name, gauge] of gauges) {
    const value = values?.[name];
    // Without labels it is 0 from now on, with labels it has no series.
    gauge.reset();
    if (typeof value === 'number') gauge.set(value);
    else if (value) for (const sample of value) gauge.set(sample.labels, sample.value);
    else if (!labelled) gauge.set(Number.NaN);
  }
}

/** @returns null when the part does not answer */
async function inTime<T>(read: () => Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), READ_MS);
  });
  try {
    return await Promise.race([read(), late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
