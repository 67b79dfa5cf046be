import { Injectable } from '@nestjs/common';
import type { Job, Queue } from 'bullmq';
import { Config } from '../config/config.js';
import { slicePage } from '../http/body/paging.js';
import { JobsUnavailable, Queues } from '../queue/queues.js';

/** A reconcile job names its subject by number only, so that Redis holds no personal data. */
export type ReconcileJob = { subject: number };

/** A job that used up its attempts. */
export type FailedJob = {
  /** Queue and job, as `retry` expects it. */
  id: string;
  queue: JobQueue;
  /** The subject whose book was to be judged; null for a sweep. */
  subject: number | null;
  attempts: number;
  /** Class and code of the last error. */
  reason: string;
  failedAt: string | null;
};

export interface FailedJobPage {
  readonly items: FailedJob[];
  readonly next: string | null;
}

export const JOB_QUEUES = ['reconcile', 'timers'] as const;
export type JobQueue = (typeof JOB_QUEUES)[number];

/** Limit on the failed jobs that the dead-letter view keeps. */
const KEPT_FAILED = 10_000;
const JOB = {
  attempts: 6,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnFail: { count: KEPT_FAILED },
} as const;
const SWEEP = 'sweep';

/** The queues, for whoever adds jobs. */
@Injectable()
export class Jobs {
  private readonly queues: Readonly<Record<JobQueue, Queue>> | null;

  constructor(
    private readonly config: Config,
    private readonly shared: Queues,
  ) {
    const [reconcile, timers] = JOB_QUEUES.map((queue) => shared.open(queue, JOB));
    this.queues = reconcile && timers ? { reconcile, timers } : null;
  }

  /**
   * Queues the books of these subjects for judging. A waiting book is not added again; one that is being judged is
   * judged once more afterwards. Resolves when Redis has the jobs.
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
   * Keeps sweeps scheduled.
   * @param forgotten runs before sweeps are scheduled anew: a Redis that lost them has lost its dead letters too
   * @returns stops this
   */
  keepSweeping(forgotten: () => Promise<void>): () => void {
    if (!this.queues) throw new JobsUnavailable();
    const everyMs = this.config.env.SWEEP_SECONDS * 1000;
    return this.shared.keepScheduled(this.queues.timers, { id: SWEEP, everyMs, whenUnknown: forgotten });
  }

  /** Subjects whose last reconcile job used up its attempts. @throws {JobsUnavailable} */
  async deadSubjects(): Promise<Set<number>> {
    const failed = await this.ask(({ reconcile }) => reconcile.getFailed(0, KEPT_FAILED));
    return new Set(failed.map((job: Job<ReconcileJob>) => job.data.subject));
  }

  /**
   * The dead-letter view, newest first.
   * @param after number of jobs before the page; a job that fails meanwhile moves the others down
   * @throws {JobsUnavailable}
   */
  async failed({ after = 0, limit }: { after?: number | undefined; limit: number }): Promise<FailedJobPage> {
    const pages = await this.ask((queues) =>
      Promise.all(
        JOB_QUEUES.map(async (queue) => {
          const jobs: Job<Partial<ReconcileJob>>[] = await queues[queue].getFailed(0, after + limit);
          return jobs.map((job) => describe(queue, job));
        }),
      ),
    );
    const newestFirst = pages.flat().toSorted((a, b) => (b.failedAt ?? '').localeCompare(a.failedAt ?? ''));
    return slicePage(newestFirst, { after, limit });
  }

  /**
   * Puts a failed job back into its queue with all its attempts. A job that was already put back is left as it is, even
   * if it is done by now. So a repeated request gets the same answer.
   * @returns false when there never was such a job
   * @throws {JobsUnavailable}
   */
  async retry(id: string): Promise<boolean> {
    const [queue, jobId] = split(id);
    if (queue === null) return false;
    return this.ask(async (queues) => {
      const job: Job | undefined = await queues[queue].getJob(jobId);
      if (!job) return queue === 'reconcile' && this.wasGiven(queues.reconcile, jobId);
      if (!(await job.isFailed())) return true;
      try {
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
      } catch (error) {
        // Another request has already retried it.
        if (await job.isFailed()) throw error;
      }
      return true;
    });
  }

  /**
   * Whether the queue ever gave a job this number. Sweeps have their instant as id, though scheduling them advances the
   * counter too.
   */
  private async wasGiven(queue: Queue, jobId: string): Promise<boolean> {
    if (!/^[1-9]\d{0,14}$/.test(jobId)) return false;
    return Number(jobId) <= (await this.shared.lastJobNumber(queue));
  }

  private ask<T>(question: (queues: Readonly<Record<JobQueue, Queue>>) => Promise<T>): Promise<T> {
    const { queues } = this;
    if (!queues) throw new JobsUnavailable();
    return this.shared.ask(() => question(queues));
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
