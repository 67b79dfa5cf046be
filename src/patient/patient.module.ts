import { Module } from '@nestjs/common';
import { PrescriptionModule } from '../prescription/prescription.module.js';
import { PatientController } from './patient.controller.js';
import { PatientService } from './patient.service.js';

@Module({ imports: [PrescriptionModule], controllers: [PatientController], providers: [PatientService] })
export class PatientModule {}
