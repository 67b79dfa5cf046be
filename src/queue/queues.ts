import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { DelayedError, type Job, type JobsOptions, type JobType, Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { Config } from '../config/config.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { faultOf, isOutage } from './fault.js';
import { queueName } from './queue-name.js';
import { askingConnection, workingConnection } from './redis.js';

/** How often {@link Queues.keepScheduled} looks, ms; more often when the job itself comes more often. */
const SCHEDULE_CHECK_MS = 10_000;

/** Redis does not answer now. Nothing is lost by it: the ledger and the cursors say what is still to be done. */
export class JobsUnavailable extends Error {
  constructor() {
    super('Redis is away');
    this.name = 'JobsUnavailable';
  }
}

/** How the jobs of a queue are run in this process. */
export interface Work<Data> {
  /** Jobs at once. */
  readonly concurrency: number;
  /** How long a job whose process died counts as running, ms (default: BullMQ's 30 s). */
  readonly lockMs?: number;
  /**
   * How long a job waits while the database is away, ms. It costs the job no attempt. Without it an outage fails the
   * job like any other error.
   */
  readonly outagePauseMs?: number;
  run(data: Data): Promise<void>;
  /** Is told of every error that costs an attempt. */
  report(error: unknown, jobId: string): void;
}

/** How an attempt at a job ended; `postponed`: the database is away, and the job comes again. */
export type Attempt = 'done' | 'failed' | 'postponed';

/** What runs the jobs of one queue. */
export interface Worked {
  /** Takes no more jobs and lets the running ones finish. With Redis away it ends at once. */
  close(): Promise<void>;
}

/** A job that comes again and again. */
export interface Scheduled {
  readonly id: string;
  readonly everyMs: number;
  /** Runs before a schedule that Redis does not know is made, so also when Redis was emptied. */
  readonly whenUnknown: () => Promise<unknown>;
}

/**
 * BullMQ, set up once: connection, options, names, errors, and the order in which all is closed. Whoever runs jobs
 * closes {@link Worked} in `beforeApplicationShutdown`; the queues and the connection close here, after that.
 */
@Injectable()
export class Queues implements OnApplicationShutdown {
  private readonly logger = new Logger('Queues');
  private readonly url: string | undefined;
  private readonly redis: Redis | null;
  private readonly opened = new Map<string, Queue>();
  private observer: ((queue: string, outcome: Attempt) => void) | null = null;
  private lastFault = '';

  constructor(
    config: Config,
    private readonly writer: LedgerWriter,
  ) {
    this.url = config.env.REDIS_URL;
    this.redis = this.url === undefined ? null : askingConnection(this.url);
    this.redis?.on('error', (error: unknown) => this.tell(error));
    this.redis?.on('ready', () => (this.lastFault = ''));
  }

  /** False without a Redis: then no jobs run in this process. */
  get enabled(): boolean {
    return this.redis !== null;
  }

  /** Names in Redis of the queues that this process has opened. */
  get names(): string[] {
    return [...this.opened.values()].map(({ name }) => name);
  }

  /**
   * Opens a queue for those who ask for jobs. Errors reach Redis by class and code only.
   * @param jobs what holds for each job unless it says otherwise
   * @returns null without a Redis
   */
  open(queue: string, jobs: JobsOptions): Queue | null {
    if (!this.redis) return null;
    const opened = new Queue(queueName(this.writer.origin, queue), {
      connection: this.redis,
      skipWaitingForReady: true,
      skipVersionCheck: true,
      defaultJobOptions: { removeOnComplete: true, stackTraceLimit: 0, ...jobs },
    });
    opened.on('error', (error) => this.tell(error));
    this.opened.set(queue, opened);
    return opened;
  }

  /** Runs the jobs of a queue in this process from now on. @throws {JobsUnavailable} without a Redis */
  work<Data>(queue: string, work: Work<Data>): Worked {
    const { concurrency, lockMs, outagePauseMs } = work;
    if (this.url === undefined) throw new JobsUnavailable();
    const process = async (job: Job<Data>, token?: string): Promise<void> => {
      try {
        await work.run(job.data);
        this.observer?.(queue, 'done');
      } catch (error) {
        if (outagePauseMs !== undefined && isOutage(error)) {
          this.observer?.(queue, 'postponed');
          await job.moveToDelayed(Date.now() + outagePauseMs, token);
          throw new DelayedError();
        }
        this.observer?.(queue, 'failed');
        work.report(error, job.id ?? '');
        // BullMQ keeps the message in Redis: only what may be said outside.
        throw new Error(faultOf(error), { cause: error });
      }
    };
    const worker = new Worker<Data, void>(queueName(this.writer.origin, queue), process, {
      connection: workingConnection(this.url),
      concurrency,
      ...(lockMs !== undefined && { lockDuration: lockMs, stalledInterval: lockMs / 3 }),
    });
    // The asking connection tells of a Redis that is away; without a listener the process would end.
    worker.on('error', () => undefined);
    return {
      close: async () => {
        // With Redis away a worker that is asked to close gently waits for it.
        const gently = await this.answers();
        await worker.close(!gently).catch(() => undefined);
      },
    };
  }

  /**
   * Makes sure, now, on each connection and then regularly, that a job comes every so often: a Redis that was emptied has
   * forgotten it. The job has one attempt; the next one is the retry.
   * @returns ends it
   */
  keepScheduled(queue: Queue, job: Scheduled): () => void {
    let looking: Promise<void> = Promise.resolve();
    // One look after the other: two at once would both make a schedule.
    const look = (): void => {
      looking = looking.then(() => this.schedule(queue, job)).catch(() => undefined);
    };
    look();
    this.redis?.on('ready', look);
    const timer = setInterval(look, Math.min(SCHEDULE_CHECK_MS, job.everyMs));
    return () => {
      clearInterval(timer);
      this.redis?.off('ready', look);
    };
  }

  /** @throws {JobsUnavailable} when Redis is away or refuses */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    if (!this.redis) throw new JobsUnavailable();
    try {
      return await question();
    } catch (error) {
      this.tell(error);
      throw new JobsUnavailable();
    }
  }

  /** The highest job number that a queue has given; it counts them. @throws {JobsUnavailable} */
  lastJobNumber(queue: Queue): Promise<number> {
    return this.ask(async () => Number((await this.redis?.get(queue.toKey('id'))) ?? 0));
  }

  /** @throws {JobsUnavailable} */
  async ping(): Promise<void> {
    await this.ask(async () => this.redis?.ping());
  }

  /** Jobs of each opened queue by state, as Redis counts them. @throws {JobsUnavailable} */
  async counts(states: readonly JobType[]): Promise<{ queue: string; counts: Record<string, number> }[]> {
    return this.ask(() =>
      Promise.all(
        [...this.opened].map(async ([queue, opened]) => ({ queue, counts: await opened.getJobCounts(...states) })),
      ),
    );
  }

  /** Tells one observer of every attempt at a job in this process. It MUST NOT throw. */
  observe(observer: (queue: string, outcome: Attempt) => void): void {
    this.observer = observer;
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([...this.opened.values()].map((queue) => queue.close()));
    this.redis?.disconnect();
  }

  private answers(): Promise<boolean> {
    return this.ping().then(
      () => true,
      () => false,
    );
  }

  private async schedule(queue: Queue, { id, everyMs, whenUnknown }: Scheduled): Promise<void> {
    const every = Math.round(everyMs);
    const known = await this.ask(() => queue.getJobScheduler(id));
    if (known?.every === every && known.next !== undefined) return;
    await whenUnknown();
    await this.ask(() => queue.upsertJobScheduler(id, { every }, { name: id, data: {}, opts: { attempts: 1 } }));
  }

  /** A Redis that stays away is logged once, not at every attempt. */
  private tell(error: unknown): void {
    const { status } = this.redis ?? {};
    // While the connection is away, further errors only follow from that.
    const away = status !== undefined && status !== 'ready';
    const fault = away ? 'away' : faultOf(error);
    if (fault === this.lastFault) return;
    this.lastFault = fault;
    const { host, port } = this.redis?.options ?? {};
    const what = away
      ? `does not answer (${(error as NodeJS.ErrnoException).code ?? faultOf(error)}). Writes go on; jobs wait until it is back`
      : faultOf(error);
    this.logger.warn(`Redis (${host}:${port}): ${what}`);
  }
}
