import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Config } from '../../config/config.js';
import { LedgerWriter } from '../../ledger/ledger.writer.js';
import { Queues } from '../../queue/queues.js';
import { Metrics } from './metrics.js';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COMMANDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2000];
const JOB_STATES = ['waiting', 'active', 'delayed', 'failed'] as const;

/** Measurements of the floors below HTTP: the writer's batches and the queues. */
@Injectable()
export class LedgerMetrics implements OnModuleInit {
  constructor(
    private readonly config: Config,
    private readonly writer: LedgerWriter,
    private readonly queues: Queues,
    private readonly metrics: Metrics,
  ) {}

  onModuleInit(): void {
    this.observeBatches();
    this.metrics.gauges({
      help: {
        rxledger_queue_commands: 'Commands that wait for the next batch',
        rxledger_queue_commands_limit: 'Most commands that may wait; beyond that a write is refused with 503',
      },
      read: async () => ({
        rxledger_queue_commands: this.writer.waiting,
        rxledger_queue_commands_limit: this.config.env.WRITER_QUEUE,
      }),
    });
    if (this.queues.enabled) this.watchJobs();
  }

  private observeBatches(): void {
    const { metrics } = this;
    const size = metrics.histogram('rxledger_batch_commands', 'Commands in a batch', COMMANDS);
    const answered = metrics.histogram(
      'rxledger_batch_duration_seconds',
      'From sending a batch off until its commands are answered, the head file included',
      SECONDS,
    );
    const committed = metrics.histogram(
      'rxledger_commit_duration_seconds',
      'From sending a batch off until the database has committed it',
      SECONDS,
    );
    const events = metrics.counter('rxledger_commit_events_total', 'Entries that this process added to the log');
    const attempts = metrics.counter(
      'rxledger_commit_attempts_total',
      'Tries at writing a batch; more than batches where other processes were faster',
    );
    const failures = metrics.counter('rxledger_commit_failures_total', 'Batches that were not committed, by why', [
      'reason',
    ]);
    for (const reason of ['outage', 'fault']) failures.inc({ reason }, 0);
    this.writer.observe((batch) => {
      attempts.inc(batch.attempts);
      if (batch.outcome !== 'committed') failures.inc({ reason: batch.outcome });
      else {
        size.observe(batch.commands);
        committed.observe(batch.commitMs / 1000);
        answered.observe(batch.answerMs / 1000);
        events.inc(batch.events);
      }
    });
  }

  private watchJobs(): void {
    this.metrics.gauges({
      help: { rxledger_queue_jobs: 'Jobs in Redis by queue and state; no series while Redis is away' },
      labels: ['queue', 'state'],
      read: async () => ({
        rxledger_queue_jobs: (await this.queues.counts(JOB_STATES)).flatMap(({ queue, counts }) =>
          JOB_STATES.map((state) => ({ labels: { queue, state }, value: counts[state] ?? 0 })),
        ),
      }),
    });
    const attempts = this.metrics.counter(
      'rxledger_job_attempts_total',
      'Attempts at jobs in this process, by queue and outcome; one that an outage put off costs the job no attempt',
      ['queue', 'outcome'],
    );
    this.queues.observe((queue, outcome) => attempts.inc({ queue, outcome }));
  }
}
