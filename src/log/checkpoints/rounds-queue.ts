import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { Readiness } from '../../http/health/readiness.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { faultOf } from '../../queue/fault.js';
import { queueName } from '../../queue/queue-name.js';
import { Rounds } from './rounds.js';
import { WITNESS_POLICY, type WitnessPolicy } from './witness-policy.js';
import { Witnessing } from './witness-readiness.js';

const ROUND = 'round';
/** How often it is made sure that rounds are scheduled, ms; more often when they are. */
const SCHEDULE_CHECK_MS = 10_000;
/** A round of a process that died is taken for lost after this time: until then there is no other. */
export const LOCK_MS = 9000;
const COMMAND_TIMEOUT_MS = 5000;

/**
 * Rounds as BullMQ jobs, every `PUBLISH_SECONDS`, one at a time whatever the number of processes. A Redis that was
 * emptied is told of them again, and the next round is the retry of one that failed: what is still to be witnessed
 * stands in the database.
 */
@Injectable()
export class RoundsQueue implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Rounds');
  private redis: Redis | null = null;
  private queue: Queue | null = null;
  private worker: Worker | null = null;
  private schedule: NodeJS.Timeout | null = null;

  constructor(
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly writer: LedgerWriter,
    private readonly rounds: Rounds,
    private readonly witnessing: Witnessing,
    private readonly readiness: Readiness,
    @Inject(WITNESS_POLICY) private readonly policy: WitnessPolicy | null,
  ) {}

  onModuleInit(): void {
    if (this.policy) {
      this.readiness.add({ name: 'witnesses', check: () => this.witnessing.state(this.clock.now()) });
    }
  }

  onApplicationBootstrap(): void {
    const { REDIS_URL: url, ROLE, PUBLISH_SECONDS } = this.config.env;
    if (!this.policy || ROLE === 'api') return;
    if (url === undefined) {
      this.logger.warn('no REDIS_URL: this process submits nothing to witnesses');
      return;
    }
    this.redis = new Redis(url, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy,
    });
    this.redis.on('error', () => undefined);
    const name = queueName(this.writer.origin, 'witnesses');
    this.queue = new Queue(name, {
      connection: this.redis,
      skipWaitingForReady: true,
      skipVersionCheck: true,
      defaultJobOptions: { attempts: 1, removeOnComplete: true, removeOnFail: true, stackTraceLimit: 0 },
    });
    this.queue.on('error', () => undefined);
    this.worker = new Worker(name, () => this.round(), {
      connection: { url, maxRetriesPerRequest: null, retryStrategy },
      concurrency: 1,
      lockDuration: LOCK_MS,
      stalledInterval: LOCK_MS / 3,
    });
    this.worker.on('error', () => undefined);
    const every = Math.round(PUBLISH_SECONDS * 1000);
    const keepScheduled = (): void => void this.keepScheduled(every).catch(() => undefined);
    keepScheduled();
    this.redis.on('ready', keepScheduled);
    this.schedule = setInterval(keepScheduled, Math.min(SCHEDULE_CHECK_MS, every));
  }

  async beforeApplicationShutdown(): Promise<void> {
    if (this.schedule) clearInterval(this.schedule);
    await this.rounds.stop();
    // With Redis away a worker that is asked to close gently waits for it.
    const gently = this.redis?.status === 'ready';
    await Promise.allSettled([this.worker?.close(!gently)]);
    await Promise.allSettled([this.queue?.close()]);
    this.redis?.disconnect();
  }

  private async round(): Promise<void> {
    try {
      await this.rounds.run();
    } catch (error) {
      this.logger.warn(`no round: ${faultOf(error)}`);
      // BullMQ keeps the message in Redis: only what may be said outside.
      throw new Error(faultOf(error), { cause: error });
    }
  }

  /** @throws while Redis is away */
  private async keepScheduled(every: number): Promise<void> {
    const { queue } = this;
    if (!queue) return;
    const known = await queue.getJobScheduler(ROUND);
    if (known?.every === every && known.next !== undefined) return;
    await queue.setGlobalConcurrency(1);
    await queue.upsertJobScheduler(ROUND, { every }, { name: ROUND, data: {} });
  }
}

function retryStrategy(attempt: number): number {
  return Math.min(attempt * 100, 2000);
}
