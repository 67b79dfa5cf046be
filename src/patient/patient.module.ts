import { Module } from '@nestjs/common';
import { IdentityModule } from '../identity/identity.module.js';
import { AccessLog } from './access-log.js';
import { PatientController } from './patient.controller.js';
import { PatientService } from './patient.service.js';
import { RetentionController } from './retention.controller.js';
import { RetentionService } from './retention.service.js';

@Module({
  imports: [IdentityModule],
  controllers: [PatientController, RetentionController],
  providers: [AccessLog, PatientService, RetentionService],
  exports: [AccessLog],
})
export class PatientModule {}
