import { Module } from '@nestjs/common';
import { PatientModule } from '../patient/patient.module.js';
import { Secrets } from '../prescription/secrets.js';
import { PatientAccess } from './patient-access.js';
import { PatientAccessController } from './patient-access.controller.js';
import { PrescriptionAccess } from './prescription-access.js';

/** Who may see or change which chain, for the modules that work on prescriptions. */
@Module({
  imports: [PatientModule],
  controllers: [PatientAccessController],
  providers: [PatientAccess, PrescriptionAccess, Secrets],
  exports: [PatientModule, PrescriptionAccess, Secrets],
})
export class AccessModule {}
