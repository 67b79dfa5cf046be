import { Module } from '@nestjs/common';
import { PrescriptionModule } from '../access/access.module.js';
import { AdherenceController } from './adherence.controller.js';
import { AdherenceService } from './adherence.service.js';

@Module({
  imports: [PrescriptionModule],
  controllers: [AdherenceController],
  providers: [AdherenceService],
})
export class AdherenceModule {}
