import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { Config } from '../config/config.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { faultOf } from '../queue/fault.js';
import { queueName } from '../queue/queue-name.js';

/** A reconcile job names a subject by number, a sweep nothing: what stands in Redis says nothing about anybody. */
export type ReconcileJob = { subject: number };
export type SweepJob = Record<string, never>;

/** A job that used up its attempts. */
export type FailedJob = {
  /** Queue and job, as the retry takes it. */
  id: string;
  queue: JobQueue;
  /** The subject whose book was to be judged; null for a sweep. */
  subject: number | null;
  attempts: number;
  /** Class and code of the last error. */
  reason: string;
  failedAt: string | null;
};

export const JOB_QUEUES = ['reconcile', 'timers'] as const;
export type JobQueue = (typeof JOB_QUEUES)[number];

const ATTEMPTS = 6;
const BACKOFF = { type: 'exponential', delay: 1000 } as const;
/** Failed jobs that the dead-letter view keeps. */
const KEPT_FAILED = 10_000;
const COMMAND_TIMEOUT_MS = 5000;
const SWEEP = 'sweep';

/** Redis does not answer now. Nothing is lost by it: the ledger and the cursor say what is still to be done. */
export class JobsUnavailable extends Error {
  constructor() {
    super('Redis is away');
    this.name = 'JobsUnavailable';
  }
}

/**
 * The queues as producers see them: each command fails at once while Redis is away, so that nobody waits
 * for it.
 */
@Injectable()
export class Jobs implements OnApplicationShutdown {
  private readonly logger = new Logger('Jobs');
  private readonly redis: Redis | null;
  private readonly queues: Readonly<Record<JobQueue, Queue>> | null;
  private lastFault = '';

  constructor(
    private readonly config: Config,
    private readonly writer: LedgerWriter,
  ) {
    const url = config.env.REDIS_URL;
    if (url === undefined) {
      this.redis = null;
      this.queues = null;
      return;
    }
    this.redis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(attempt * 100, 2000),
    });
    this.redis.on('error', (error: unknown) => this.tell(error));
    this.redis.on('ready', () => (this.lastFault = ''));
    this.queues = { reconcile: this.open('reconcile'), timers: this.open('timers') };
  }

  /** Without a Redis no jobs run in this process. */
  get enabled(): boolean {
    return this.queues !== null;
  }

  /** Name of a queue in Redis. */
  nameOf(queue: JobQueue): string {
    return queueName(this.writer.origin, queue);
  }

  /**
   * Asks for the books of these subjects to be judged. One that waits already is not added again; one that is
   * being judged now is judged once more afterwards. Resolves once Redis has them.
   * @throws {JobsUnavailable}
   */
  async reconcile(subjects: Iterable<number>): Promise<void> {
    const jobs = [...new Set(subjects)].map((subject) => ({
      name: 'reconcile',
      data: { subject } satisfies ReconcileJob,
      opts: { deduplication: { id: `subject-${subject}`, keepLastIfActive: true } },
    }));
    if (jobs.length > 0) await this.ask((queues) => queues.reconcile.addBulk(jobs));
  }

  /**
   * Makes sure that sweeps are scheduled: a Redis that was emptied has forgotten it, and its dead letters too.
   * @param forgotten is waited for before they are scheduled anew
   * @throws {JobsUnavailable}
   */
  async scheduleSweep(forgotten: () => Promise<void>): Promise<void> {
    const every = Math.round(this.config.env.SWEEP_SECONDS * 1000);
    const known = await this.ask(({ timers }) => timers.getJobScheduler(SWEEP));
    if (known?.every === every && known.next !== undefined) return;
    await forgotten();
    const data: SweepJob = {};
    // The next sweep is the retry.
    await this.ask(({ timers }) =>
      timers.upsertJobScheduler(SWEEP, { every }, { name: SWEEP, data, opts: { attempts: 1 } }),
    );
  }

  /** Subjects whose last reconcile job used up its attempts. @throws {JobsUnavailable} */
  async deadSubjects(): Promise<Set<number>> {
    const failed = await this.ask(({ reconcile }) => reconcile.getFailed(0, KEPT_FAILED));
    return new Set(failed.map((job: Job<ReconcileJob>) => job.data.subject));
  }

  /** The dead-letter view, newest first. @throws {JobsUnavailable} */
  async failed(limit: number): Promise<FailedJob[]> {
    const pages = await this.ask((queues) =>
      Promise.all(
        JOB_QUEUES.map(async (queue) => {
          const jobs: Job<Partial<ReconcileJob>>[] = await queues[queue].getFailed(0, limit - 1);
          return jobs.map((job) => describe(queue, job));
        }),
      ),
    );
    return pages
      .flat()
      .toSorted((a, b) => (b.failedAt ?? '').localeCompare(a.failedAt ?? ''))
      .slice(0, limit);
  }

  /**
   * Puts a failed job back into its queue with all its attempts. One that was put back already, and may be done and gone
   * since, is left as it is: the repeat answers like the first.
   * @returns false when there never was such a job
   * @throws {JobsUnavailable}
   */
  async retry(id: string): Promise<boolean> {
    const [queue, jobId] = split(id);
    if (queue === null) return false;
    return this.ask(async (queues) => {
      const job: Job | undefined = await queues[queue].getJob(jobId);
      if (!job) return this.wasGiven(queues[queue], jobId);
      if (!(await job.isFailed())) return true;
      try {
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
      } catch (error) {
        // Another retry of it was quicker.
        if (await job.isFailed()) throw error;
      }
      return true;
    });
  }

  /** Whether the queue gave a job this number: it counts them. Sweeps bear their instant, and are not known once gone. */
  private async wasGiven(queue: Queue, jobId: string): Promise<boolean> {
    if (!/^[1-9]\d{0,14}$/.test(jobId)) return false;
    return Number(jobId) <= Number((await this.redis?.get(queue.toKey('id'))) ?? 0);
  }

  /** @throws {JobsUnavailable} */
  async ping(): Promise<void> {
    await this.ask(() => this.redis?.ping());
  }

  async onApplicationShutdown(): Promise<void> {
    if (!this.queues) return;
    await Promise.allSettled(Object.values(this.queues).map((queue) => queue.close()));
    this.redis?.disconnect();
  }

  private open(queue: JobQueue): Queue {
    const opened = new Queue(this.nameOf(queue), {
      connection: this.redis as Redis,
      skipWaitingForReady: true,
      skipVersionCheck: true,
      defaultJobOptions: {
        attempts: ATTEMPTS,
        backoff: BACKOFF,
        removeOnComplete: true,
        removeOnFail: { count: KEPT_FAILED },
        stackTraceLimit: 0,
      },
    });
    opened.on('error', (error) => this.tell(error));
    return opened;
  }

  private async ask<T>(question: (queues: Readonly<Record<JobQueue, Queue>>) => Promise<T> | T): Promise<T> {
    if (!this.queues) throw new JobsUnavailable();
    try {
      return await question(this.queues);
    } catch (error) {
      this.tell(error);
      throw new JobsUnavailable();
    }
  }

  /** A Redis that stays away is said once, not at every attempt. */
  private tell(error: unknown): void {
    const fault = faultOf(error);
    if (fault === this.lastFault) return;
    this.lastFault = fault;
    this.logger.warn(`Redis: ${fault}`);
  }
}

function describe(queue: JobQueue, job: Job<Partial<ReconcileJob>>): FailedJob {
  return {
    id: `${queue}.${job.id ?? ''}`,
    queue,
    subject: job.data.subject ?? null,
    attempts: job.attemptsMade,
    reason: job.failedReason,
    failedAt: job.finishedOn === undefined ? null : new Date(job.finishedOn).toISOString(),
  };
}

function split(id: string): [JobQueue | null, string] {
  const queue = JOB_QUEUES.find((known) => id.startsWith(`${known}.`));
  return queue ? [queue, id.slice(queue.length + 1)] : [null, ''];
}
