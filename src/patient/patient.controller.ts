import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, pageOf } from '../http/body/paging.js';
import { ACCESS_POSITION, accessView } from './accesses.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { patientId } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import { identifier, patientView, viewOf } from './patient-view.js';
import { PatientService } from './patient.service.js';

const newPatient = z
  .strictObject({
    name: z.string().trim().min(1).max(300),
    birthDate: z.iso.date().nullable().default(null),
    identifiers: z.array(identifier).min(1).max(10).describe('the numbers under which the patient is found again'),
    address: z.string().trim().max(500).nullable().default(null),
  })
  .meta({
    id: 'NewPatient',
    title: 'NewPatient',
    example: {
      name: 'Nora Sample',
      birthDate: '1984-02-29',
      identifiers: [{ system: 'urn:example:hospital', value: 'H-20731' }],
      address: '3 Sample Road, Springfield',
    },
  });

const foundPatient = patientView
  .pick({ id: true, name: true, birthDate: true })
  .meta({ id: 'FoundPatient', title: 'FoundPatient' });
const found = z
  .object({ patient: foundPatient.nullable().describe('null: nobody is enrolled under this identifier') })
  .meta({ id: 'SearchResult', title: 'SearchResult' });
const enrolled = z
  .object({ patient: patientView, ...receipts })
  .meta({ id: 'EnrolledPatient', title: 'EnrolledPatient' });

const breakGlass = z.strictObject({ reason: z.string().trim().min(1).max(1000).describe('the patient sees it') }).meta({
  id: 'BreakGlass',
  title: 'BreakGlass',
  example: { reason: 'Unconscious in the emergency room, no relatives reached' },
});
const opened = z
  .object({ until: z.string().describe('when the access ends'), ...receipts })
  .meta({ id: 'OpenedAccess', title: 'OpenedAccess' });

const accessQuery = listQuery(z.string().regex(ACCESS_POSITION, 'must be `next` of the previous page'), {});
const accessPage = pageOf(accessView, 'AccessPage');

@ApiTags('patients')
@Controller('api/patients')
export class PatientController {
  constructor(private readonly patients: PatientService) {}

  @Post()
  @Action('patient.enrol')
  @Refuses('patient.already-enrolled', 'patient.name-missing')
  @ApiOperation({ summary: 'Enrol a patient' })
  @ApiCreatedResponse({ standardSchema: enrolled })
  async enrol(
    @By() by: By,
    @Body({ schema: newPatient }) body: z.output<typeof newPatient>,
  ): Promise<z.output<typeof enrolled>> {
    const { state, receipts: all } = await this.patients.enrol(by, body);
    return { patient: viewOf(state), ...receiptsOf(all) };
  }

  @Post('search')
  @HttpCode(200)
  @Action('patient.search')
  @ApiOperation({
    summary: 'Find a patient by an identifier',
    description:
      'The identifier stands in the body, so that no address in a log file holds it. The patient sees who searched.',
  })
  @ApiOkResponse({ standardSchema: found })
  async search(
    @CurrentActor() actor: Actor,
    @Body({ schema: identifier }) body: z.output<typeof identifier>,
  ): Promise<z.output<typeof found>> {
    const patient = await this.patients.search(actor, body);
    return { patient: patient && { id: patient.id, name: patient.name, birthDate: patient.birthDate } };
  }

  @Post(':id/break-glass')
  @HttpCode(200)
  @Action('patient.break-glass')
  @Refuses('ledger.chain-unknown', 'access.reason-missing')
  @ApiOperation({
    summary: 'Open a patient’s data for an hour in an emergency',
    description: 'For whoever has no relation to the patient. It is recorded with its reason, and the patient sees it.',
  })
  @ApiOkResponse({ standardSchema: opened })
  async breakGlass(
    @By() by: By,
    @Param('id', { schema: patientId }) id: string,
    @Body({ schema: breakGlass }) { reason }: z.output<typeof breakGlass>,
  ): Promise<z.output<typeof opened>> {
    const { events, receipts: all } = await this.patients.breakGlass(by, id, reason);
    return { until: events[0]?.derived['until'] as string, ...receiptsOf(all) };
  }

  @Get(':id/accesses')
  @Action('access.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'See who read your data, newest first' })
  @ApiOkResponse({ standardSchema: accessPage })
  async accesses(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: patientId }) id: string,
    @Query({ schema: accessQuery }) query: z.output<typeof accessQuery>,
  ): Promise<z.output<typeof accessPage>> {
    return this.patients.accesses(actor, id, query);
  }
}
