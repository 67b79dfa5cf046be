import { Module } from '@nestjs/common';
import { AccessLog } from '../patient/access-log.js';
import { PrescriptionAccess } from './prescription-access.js';
import { Secrets } from '../prescription/secrets.js';

/** What all three modules share beside the pure life of a prescription. */
@Module({ providers: [AccessLog, PrescriptionAccess, Secrets], exports: [AccessLog, PrescriptionAccess, Secrets] })
export class PrescriptionModule {}
