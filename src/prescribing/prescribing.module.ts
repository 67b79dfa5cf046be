import { Module } from '@nestjs/common';
import { IdentityModule } from '../identity/identity.module.js';
import { AccessModule } from '../access/access.module.js';
import { PrescribingController } from './prescribing.controller.js';
import { PrescribingService } from './prescribing.service.js';

@Module({
  imports: [IdentityModule, AccessModule],
  controllers: [PrescribingController],
  providers: [PrescribingService],
})
export class PrescribingModule {}
