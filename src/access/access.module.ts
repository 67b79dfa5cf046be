import { Module } from '@nestjs/common';
import { PatientModule } from '../patient/patient.module.js';
import { Secrets } from '../prescription/secrets.js';
import { PrescriptionAccess } from './prescription-access.js';

/** Who may see or change which chain, for the modules that work on prescriptions. */
@Module({
  imports: [PatientModule],
  providers: [PrescriptionAccess, Secrets],
  exports: [PatientModule, PrescriptionAccess, Secrets],
})
export class AccessModule {}
