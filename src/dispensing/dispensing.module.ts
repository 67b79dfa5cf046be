import { Module } from '@nestjs/common';
import { AccessModule } from '../access/access.module.js';
import { DispensingController } from './dispensing.controller.js';
import { DispensingService } from './dispensing.service.js';
import { SuppliesController } from './supplies.controller.js';
import { SuppliesService } from './supplies.service.js';

@Module({
  imports: [AccessModule],
  controllers: [DispensingController, SuppliesController],
  providers: [DispensingService, SuppliesService],
})
export class DispensingModule {}
