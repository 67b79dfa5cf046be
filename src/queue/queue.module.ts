import { Module } from '@nestjs/common';
import { Queues } from './queues.js';

/** Needs the modules of configuration and ledger. */
@Module({ providers: [Queues], exports: [Queues] })
export class QueueModule {}
