import { Module } from '@nestjs/common';
import { AccessModule } from '../access/access.module.js';
import { AdherenceController } from './adherence.controller.js';
import { AdherenceService } from './adherence.service.js';

@Module({
  imports: [AccessModule],
  controllers: [AdherenceController],
  providers: [AdherenceService],
})
export class AdherenceModule {}
