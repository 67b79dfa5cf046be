import {
  type BeforeApplicationShutdown,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { Config } from '../config/config.js';
import { Readiness } from '../http/health/readiness.js';
import { ReadDb } from '../ledger/read/read-db.js';
import { LedgerRelay } from '../ledger/ledger.relay.js';
import { readCursor } from '../ledger/rows/relay-cursors.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { faultOf } from '../queue/fault.js';
import { Queues, type Worked } from '../queue/queues.js';
import { type JobQueue, Jobs, type ReconcileJob } from './jobs.js';
import { JudgedMarks } from './judged.js';
import { Reconciler } from './reconciler.js';
import { Sweep } from './sweep.js';

/** Books judged at once in one process: enough to share commits, few enough to leave requests their turn. */
const CONCURRENCY = 16;
/** Name of the relay's cursor. */
const RELAY = 'reconcile';
/** How long a job waits before it is taken again while the database is away, ms. It costs no attempt. */
const OUTAGE_PAUSE_MS = 5000;

/** What runs beside the requests in `ROLE=worker` and `ROLE=all`: relay, reconcile jobs, sweeps. */
@Injectable()
export class Workers implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Workers');
  private readonly relay: LedgerRelay;
  private workers: Worked[] = [];
  private sweptAt = performance.now();
  private stopSchedule: () => void = () => undefined;

  constructor(
    private readonly config: Config,
    private readonly queues: Queues,
    private readonly jobs: Jobs,
    private readonly reconciler: Reconciler,
    private readonly sweep: Sweep,
    private readonly judged: JudgedMarks,
    private readonly readiness: Readiness,
    writer: LedgerWriter,
    private readonly db: ReadDb,
  ) {
    this.relay = new LedgerRelay(writer, db, {
      name: RELAY,
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
          await this.queues.ping();
          return { up: true };
        },
      });
    }
    this.readiness.add({ name: 'relay', check: async () => ({ up: true, lag: await this.lag() }) });
  }

  /** Whether this process runs jobs and sweeps. */
  get runs(): boolean {
    return this.config.env.ROLE !== 'api' && this.queues.enabled;
  }

  /** Entries that the relay has not handed over yet. */
  lag(): Promise<number> {
    return this.relay.lag();
  }

  /** As {@link LedgerRelay.waiting}. */
  notHandedOver(): ReturnType<LedgerRelay['waiting']> {
    return this.relay.waiting();
  }

  /** Time since this process finished a sweep, or since its start, ms. */
  get sweepAgeMs(): number {
    return performance.now() - this.sweptAt;
  }

  /** Whether every entry so far was handed over and judged. */
  async settled(): Promise<boolean> {
    return (await this.lag()) === 0 && (await this.sweep.waiting()) === 0;
  }

  /** One sweep: what time changes, requests too old to be repeated, then what jobs missed. @throws on outage */
  async sweepOnce(): Promise<void> {
    await this.sweep.timers();
    await this.sweep.requests();
    const passed = await readCursor(this.db, RELAY);
    const dead = await this.jobs.deadSubjects();
    await this.sweep.missed(passed, dead, (subjects) => this.jobs.reconcile(subjects));
    this.sweptAt = performance.now();
  }

  onApplicationBootstrap(): void {
    if (!this.runs) {
      if (this.config.env.ROLE !== 'api')
        this.logger.warn('no REDIS_URL: no reconciliation and no timers in this process');
      return;
    }
    this.workers = [
      this.work('reconcile', CONCURRENCY, ({ subject }) => this.reconciler.reconcile(subject)),
      this.work('timers', 1, () => this.sweepOnce()),
    ];
    this.relay.start();
    this.stopSchedule = this.jobs.keepSweeping(() => this.sweep.startOver());
  }

  /** Running jobs finish; what they wrote is settled before the ledger closes. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopSchedule();
    await this.relay.stop();
    await Promise.all(this.workers.map((worker) => worker.close()));
    await this.judged.close();
  }

  private work(queue: JobQueue, concurrency: number, run: (job: ReconcileJob) => Promise<void>): Worked {
    return this.queues.work(queue, {
      concurrency,
      outagePauseMs: OUTAGE_PAUSE_MS,
      run,
      report: (error, id) => this.logger.error(`${queue} job ${id}: ${faultOf(error)}`),
    });
  }
}
