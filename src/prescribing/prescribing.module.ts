import { Module } from '@nestjs/common';
import { IdentityModule } from '../identity/identity.module.js';
import { PrescriptionModule } from '../access/access.module.js';
import { PrescribingController } from './prescribing.controller.js';
import { PrescribingService } from './prescribing.service.js';

@Module({
  imports: [IdentityModule, PrescriptionModule],
  controllers: [PrescribingController],
  providers: [PrescribingService],
})
export class PrescribingModule {}
