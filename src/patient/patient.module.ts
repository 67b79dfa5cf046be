import { Module } from '@nestjs/common';
import { IdentityModule } from '../identity/identity.module.js';
import { PrescriptionModule } from '../access/access.module.js';
import { PatientController } from './patient.controller.js';
import { PatientService } from './patient.service.js';
import { RetentionController } from './retention.controller.js';
import { RetentionService } from './retention.service.js';

@Module({
  imports: [PrescriptionModule, IdentityModule],
  controllers: [PatientController, RetentionController],
  providers: [PatientService, RetentionService],
})
export class PatientModule {}
