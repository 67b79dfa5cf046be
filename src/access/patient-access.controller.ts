import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { Refuses } from '../http/openapi/refuses.js';
import { patientId } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import { patientView, viewOf } from '../patient/patient-view.js';
import { PatientAccess } from './patient-access.js';

/** Stands apart from the other routes of patients: a relation to a patient comes of their prescriptions. */
@ApiTags('patients')
@Controller('api/patients')
export class PatientAccessController {
  constructor(private readonly access: PatientAccess) {}

  @Get(':id')
  @Action('patient.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'Read a patient' })
  @ApiOkResponse({ standardSchema: patientView })
  async read(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: patientId }) id: string,
  ): Promise<z.output<typeof patientView>> {
    return viewOf(await this.access.read(actor, id));
  }
}
