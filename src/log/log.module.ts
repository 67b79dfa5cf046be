import { Module } from '@nestjs/common';
import { LogController } from './log.controller.js';
import { LogFiles } from './log-files.js';
import { Config } from '../config/config.js';
import { LedgerWriter } from '../ledger/ledger.writer.js';
import { QueueModule } from '../queue/queue.module.js';
import { Published } from './checkpoints/published.js';
import { Publisher } from './checkpoints/publisher.js';
import { ReceiptsController } from './receipts.controller.js';
import { ReceiptsService } from './receipts.service.js';
import { Rounds } from './checkpoints/rounds.js';
import { loadWitnessPolicy, WITNESS_POLICY } from './checkpoints/witness-policy.js';
import { RoundsQueue } from './checkpoints/rounds-queue.js';
import { Witnessing } from './checkpoints/witness-readiness.js';
import { ServedCheckpoint } from './checkpoints/served.js';

/**
 * Publishes the log to the outside, checkpoint by checkpoint (design 3). Needs the modules of configuration, ledger and
 * HTTP.
 */
@Module({
  imports: [QueueModule],
  controllers: [LogController, ReceiptsController],
  providers: [
    LogFiles,
    Published,
    Publisher,
    ReceiptsService,
    Rounds,
    RoundsQueue,
    ServedCheckpoint,
    Witnessing,
    {
      provide: WITNESS_POLICY,
      inject: [Config, LedgerWriter],
      useFactory: ({ env }: Config, { vkey }: LedgerWriter) =>
        env.WITNESS_POLICY === undefined ? null : loadWitnessPolicy(env.WITNESS_POLICY, vkey),
    },
  ],
  exports: [Published, ServedCheckpoint],
})
export class LogModule {}
