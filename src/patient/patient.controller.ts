import type { LedgerEvent } from '../ledger/core/record/event.js';
import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import { isPatientEvent } from './evolve.js';
import type { Patient } from './state.js';
import { identifier, patientView, viewOf } from './patient-view.js';
import { PatientService } from './patient.service.js';

const newPatient = z
  .strictObject({
    name: z.string().trim().min(1).max(300),
    birthDate: z.iso.date().nullable().default(null),
    identifiers: z.array(identifier).min(1).max(10),
    address: z.string().trim().max(500).nullable().default(null),
  })
  .meta({ title: 'NewPatient' });

const found = patientView.pick({ id: true, name: true, birthDate: true });
const enrolled = z.object({ patient: patientView, ...receipts });

const accessView = z.object({
  type: z.enum(['read', 'break-glass', 'disclosure', 'clearance']),
  at: z.string(),
  reader: z.object({ id: z.string(), role: z.string(), org: z.string().nullable() }),
  action: z.string().nullable(),
  chains: z.array(z.string()).describe('what was read'),
  reason: z.string().nullable(),
  until: z.string().nullable(),
  entry: z
    .object({
      index: z.number().int().describe('log index'),
      members: z.array(z.string()).describe('of its payload'),
      recipient: z.string().nullable().describe('of a clearance the auditor’s id; null: the reader'),
    })
    .nullable()
    .describe('what was given away or cleared'),
});

@ApiTags('patients')
@Controller('api/patients')
export class PatientController {
  constructor(private readonly patients: PatientService) {}

  @Post()
  @Action('patient.enrol')
  @ApiOperation({ summary: 'Enrol a patient' })
  @ApiCreatedResponse({ standardSchema: enrolled })
  async enrol(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newPatient }) body: z.output<typeof newPatient>,
  ): Promise<z.output<typeof enrolled>> {
    const request = idempotency(actor, key, 'POST /api/patients', [], body);
    const outcome = answer(await this.patients.enrol(actor, body, request));
    return { patient: viewOf(outcome.states[0] as Patient), ...receiptsOf(outcome.receipts) };
  }

  @Post('search')
  @HttpCode(200)
  @Action('patient.search')
  @ApiOperation({ summary: 'Find a patient by an identifier, whole; it stands in the body so that no URL holds it' })
  @ApiOkResponse({ standardSchema: z.object({ patient: found.nullable() }) })
  async search(
    @CurrentActor() actor: Actor,
    @Body({ schema: identifier }) body: z.output<typeof identifier>,
  ): Promise<{ patient: z.output<typeof found> | null }> {
    const patient = await this.patients.search(actor, body);
    return { patient: patient && { id: patient.id, name: patient.name, birthDate: patient.birthDate } };
  }

  @Post(':id/break-glass')
  @HttpCode(200)
  @Action('patient.break-glass')
  @ApiOperation({ summary: 'Open a patient’s data for an hour without a relation, for a reason that the patient sees' })
  @ApiOkResponse({ standardSchema: z.object({ until: z.string(), ...receipts }) })
  async breakGlass(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: z.strictObject({ reason: z.string().trim().min(1).max(1000) }) }) body: { reason: string },
  ) {
    const request = idempotency(actor, key, 'POST /api/patients/{id}/break-glass', [id], body);
    const outcome = answer(await this.patients.breakGlass(actor, id, body.reason, request));
    return { until: outcome.events[0]?.derived['until'] as string, ...receiptsOf(outcome.receipts) };
  }

  @Get(':id/accesses')
  @Action('access.read')
  @ApiOperation({ summary: 'Who read the caller’s data, newest first' })
  @ApiOkResponse({ standardSchema: z.object({ items: z.array(accessView) }) })
  async accesses(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<{ items: z.output<typeof accessView>[] }> {
    const events = await this.patients.accesses(actor, id);
    return { items: events.flatMap(accessesIn) };
  }
}

/** Newest first. */
function accessesIn(event: LedgerEvent): z.output<typeof accessView>[] {
  const { id, role, org } = event.actor;
  const told = { at: event.occurredAt, reader: { id, role, org }, action: null, chains: [], until: null, entry: null };
  if (!isPatientEvent(event)) return [];
  switch (event.type) {
    case 'access.recorded/1':
      return event.data.reads.map((read) => ({ ...told, type: 'read' as const, ...read, reason: null })).toReversed();
    case 'access.break-glass/1':
      return [{ ...told, type: 'break-glass', reason: event.data.reason, until: event.derived.until }];
    case 'access.disclosed/1': {
      const { index, chain, members, recipient, reason } = event.data;
      return [{ ...told, type: 'disclosure', chains: [chain], reason, entry: { index, members, recipient } }];
    }
    case 'access.cleared/1': {
      const { index, chain, members, auditor, reason } = event.data;
      const entry = { index, members, recipient: auditor };
      return [{ ...told, type: 'clearance', chains: [chain], reason, until: event.derived.until, entry }];
    }
    default:
      return [];
  }
}
