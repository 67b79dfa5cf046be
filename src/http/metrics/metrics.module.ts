import { Global, Module } from '@nestjs/common';
import { QueueModule } from '../../queue/queue.module.js';
import { LedgerMetrics } from './ledger-metrics.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsPort } from './metrics-port.js';
import { Metrics } from './metrics.js';
import { RequestMetrics } from './request-metrics.js';

/** Needs the modules of configuration and ledger. */
@Global()
@Module({
  imports: [QueueModule],
  controllers: [MetricsController],
  providers: [LedgerMetrics, Metrics, MetricsPort, RequestMetrics],
  exports: [Metrics],
})
export class MetricsModule {}
