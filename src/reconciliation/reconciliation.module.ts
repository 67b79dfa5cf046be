import { Module } from '@nestjs/common';
import { AccessModule } from '../access/access.module.js';
import { QueueModule } from '../queue/queue.module.js';
import { DiscrepancyController } from './discrepancy.controller.js';
import { DiscrepancyService } from './discrepancy.service.js';
import { JobsController } from './jobs.controller.js';
import { Jobs } from './jobs.js';
import { JudgedMarks } from './judged.js';
import { ReconciliationMetrics } from './reconciliation-metrics.js';
import { Reconciler } from './reconciler.js';
import { Sweep } from './sweep.js';
import { Workers } from './workers.js';

/**
 * Finds disagreements between prescribers and pharmacies and tells both (design 5). Needs the modules of configuration,
 * ledger and HTTP. Workers start with the application, except with `ROLE=api`.
 */
@Module({
  imports: [AccessModule, QueueModule],
  controllers: [DiscrepancyController, JobsController],
  providers: [DiscrepancyService, Jobs, JudgedMarks, ReconciliationMetrics, Reconciler, Sweep, Workers],
  exports: [Workers],
})
export class ReconciliationModule {}
