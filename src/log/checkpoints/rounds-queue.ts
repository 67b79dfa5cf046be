import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { Clock } from '../../time/clock.js';
import { Config } from '../../config/config.js';
import { Readiness } from '../../http/health/readiness.js';
import { Metrics } from '../../http/metrics/metrics.js';
import { faultOf } from '../../queue/fault.js';
import { Queues, type Worked } from '../../queue/queues.js';
import { Rounds } from './rounds.js';
import { WITNESS_POLICY, type WitnessPolicy } from './witness-policy.js';
import { Witnessing } from './witness-readiness.js';

const QUEUE = 'witnesses';
/** How long the round of a process that died keeps others from beginning one, ms. */
export const LOCK_MS = 9000;

/**
 * Rounds as jobs, every `PUBLISH_SECONDS`, one at a time whatever the number of processes. The next round is the retry of
 * one that failed: the database knows what is still to be witnessed.
 */
@Injectable()
export class RoundsQueue implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Rounds');
  private worked: Worked | null = null;
  private stopSchedule: () => void = () => undefined;

  constructor(
    private readonly config: Config,
    private readonly clock: Clock,
    private readonly queues: Queues,
    private readonly rounds: Rounds,
    private readonly witnessing: Witnessing,
    private readonly readiness: Readiness,
    private readonly metrics: Metrics,
    @Inject(WITNESS_POLICY) private readonly policy: WitnessPolicy | null,
  ) {}

  onModuleInit(): void {
    if (!this.policy) return;
    const state = () => this.witnessing.state(this.clock.now());
    this.readiness.add({ name: 'witnesses', check: state });
    this.metrics.gauges({
      help: {
        rxledger_witness_lag_entries: 'Entries that are published but not served, for want of a quorum of witnesses',
        rxledger_witness_lag_seconds: 'Age of the oldest published checkpoint that is not served; 0 when there is none',
        rxledger_witness_alarm: '1 when a witness has cosigned a tree that is not of this log',
      },
      read: async () => {
        const { behind, behindSeconds, alarm } = await state();
        return {
          rxledger_witness_lag_entries: behind,
          rxledger_witness_lag_seconds: behindSeconds,
          rxledger_witness_alarm: Number(alarm),
        };
      },
    });
  }

  onApplicationBootstrap(): void {
    const { ROLE, PUBLISH_SECONDS } = this.config.env;
    if (!this.policy || ROLE === 'api') return;
    const queue = this.queues.open(QUEUE, { attempts: 1, removeOnFail: true });
    if (!queue) {
      this.logger.warn('no REDIS_URL: this process submits nothing to witnesses');
      return;
    }
    this.worked = this.queues.work(QUEUE, {
      concurrency: 1,
      lockMs: LOCK_MS,
      run: () => this.rounds.run(),
      report: (error) => this.logger.warn(`no round: ${faultOf(error)}`),
    });
    this.stopSchedule = this.queues.keepScheduled(queue, {
      id: 'round',
      everyMs: PUBLISH_SECONDS * 1000,
      whenUnknown: () => queue.setGlobalConcurrency(1),
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopSchedule();
    await this.rounds.stop();
    await this.worked?.close();
  }
}
