import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { DelayedError, type Job, Worker } from 'bullmq';
import { Config } from '../config/config.js';
import { Readiness } from '../http/health/readiness.js';
import { LedgerReader } from '../ledger/ledger.reader.js';
import { LedgerRelay } from '../ledger/ledger.relay.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { faultOf, isOutage } from '../queue/fault.js';
import { type JobQueue, Jobs, type ReconcileJob } from './jobs.js';
import { JudgedMarks } from './judged.js';
import { Reconciler } from './reconciler.js';
import { Sweep } from './sweep.js';

/** Books judged at once in one process: enough to share commits, few enough to leave requests their turn. */
const CONCURRENCY = 16;
/** How long a job waits before it is taken again while the database is away, ms. It costs no attempt. */
const OUTAGE_PAUSE_MS = 5000;
/** How often it is made sure that sweeps are scheduled, ms; more often when they are. */
const SCHEDULE_CHECK_MS = 10_000;

/** What runs beside the requests in `ROLE=worker` and `ROLE=all`: relay, reconcile jobs, sweeps. */
@Injectable()
export class Workers implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Workers');
  private readonly relay: LedgerRelay;
  private workers: Worker[] = [];
  private schedule: NodeJS.Timeout | null = null;

  constructor(
    private readonly config: Config,
    private readonly jobs: Jobs,
    private readonly reconciler: Reconciler,
    private readonly sweep: Sweep,
    private readonly judged: JudgedMarks,
    private readonly readiness: Readiness,
    writer: LedgerWriter,
    private readonly reader: LedgerReader,
  ) {
    this.relay = new LedgerRelay(writer, reader, {
      name: 'reconcile',
      pollMs: config.env.RELAY_POLL_SECONDS * 1000,
      hand: (entries) =>
        jobs.reconcile(
          entries.filter(({ kind }) => kind === 'prescription' || kind === 'supply').map(({ subject }) => subject),
        ),
      report: (error, waitMs) => this.logger.warn(`relay: ${faultOf(error)}, again in ${waitMs} ms`),
    });
  }

  onModuleInit(): void {
    // A process without workers serves as well while Redis is away.
    if (this.runs) {
      this.readiness.add({
        name: 'redis',
        check: async () => {
          await this.jobs.ping();
          return { up: true };
        },
      });
    }
    this.readiness.add({ name: 'relay', check: async () => ({ up: true, lag: await this.lag() }) });
  }

  private get runs(): boolean {
    return this.config.env.ROLE !== 'api' && this.jobs.enabled;
  }

  /** Entries that the relay has not handed over yet. */
  lag(): Promise<number> {
    return this.relay.lag();
  }

  /** Whether every entry so far was handed over and judged. */
  async settled(): Promise<boolean> {
    return (await this.lag()) === 0 && (await this.sweep.waiting()) === 0;
  }

  /** One sweep: what time changes, then what jobs missed. @throws on outage */
  async sweepOnce(): Promise<void> {
    await this.sweep.timers();
    const [cursor] = await this.reader.db.query<{ next: number }>(
      "SELECT next FROM relay_cursor WHERE name = 'reconcile'",
    );
    const dead = await this.jobs.deadSubjects();
    await this.sweep.missed(cursor?.next ?? 0, dead, (subjects) => this.jobs.reconcile(subjects));
  }

  onApplicationBootstrap(): void {
    if (!this.runs) {
      if (this.config.env.ROLE !== 'api')
        this.logger.warn('no REDIS_URL: no reconciliation and no timers in this process');
      return;
    }
    this.workers = [
      this.work('reconcile', CONCURRENCY, (job: Job<ReconcileJob>) => this.reconciler.reconcile(job.data.subject)),
      this.work('timers', 1, () => this.sweepOnce()),
    ];
    this.relay.start();
    const keepScheduled = () => void this.jobs.scheduleSweep(() => this.sweep.startOver()).catch(() => undefined);
    keepScheduled();
    const pause = Math.min(SCHEDULE_CHECK_MS, this.config.env.SWEEP_SECONDS * 1000);
    this.schedule = setInterval(keepScheduled, pause);
  }

  /** Running jobs finish; what they wrote is settled before the ledger closes. */
  async beforeApplicationShutdown(): Promise<void> {
    if (this.schedule) clearInterval(this.schedule);
    await this.relay.stop();
    // With Redis away a worker that is asked to close gently waits for it.
    const gently = await this.jobs.ping().then(
      () => true,
      () => false,
    );
    await Promise.allSettled(this.workers.map((worker) => worker.close(!gently)));
    await this.judged.close();
  }

  private work(queue: JobQueue, concurrency: number, process: (job: Job) => Promise<void>): Worker {
    const worker = new Worker(
      this.jobs.nameOf(queue),
      async (job: Job, token?: string) => {
        try {
          await process(job);
        } catch (error) {
          if (isOutage(error)) {
            await job.moveToDelayed(Date.now() + OUTAGE_PAUSE_MS, token);
            throw new DelayedError();
          }
          this.logger.error(`${queue} job ${job.id ?? ''}: ${faultOf(error)}`);
          // BullMQ keeps the message in Redis: only what may be said outside.
          throw new Error(faultOf(error), { cause: error });
        }
      },
      {
        connection: {
          url: this.config.env.REDIS_URL ?? '',
          maxRetriesPerRequest: null,
          retryStrategy: (attempt: number) => Math.min(attempt * 100, 2000),
        },
        concurrency,
      },
    );
    // The producers' connection tells of a Redis that is away; without a listener the process would end.
    worker.on('error', () => undefined);
    return worker;
  }
}
