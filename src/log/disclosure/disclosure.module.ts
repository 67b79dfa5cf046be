import { Module } from '@nestjs/common';
import { IdentityModule } from '../../identity/identity.module.js';
import { PatientModule } from '../../patient/patient.module.js';
import { LogModule } from '../log.module.js';
import { DisclosureController } from './disclosure.controller.js';
import { DisclosureService } from './disclosure.service.js';

@Module({
  imports: [IdentityModule, LogModule, PatientModule],
  controllers: [DisclosureController],
  providers: [DisclosureService],
})
export class DisclosureModule {}
