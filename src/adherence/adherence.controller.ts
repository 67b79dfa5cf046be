import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf } from '../http/body/paging.js';
import { Clock } from '../time/clock.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import type { Recorded } from '../http/write/record.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { runOut } from '../prescription/run-out.js';
import { doseView, supplyView, viewOfDose, viewOfSupply } from '../prescription/views/supply-view.js';
import { givenMedication, instant, quantity, runOutView } from '../prescription/views/prescription-view.js';
import { AdherenceService } from './adherence.service.js';
import { CORRECTION_REASONS, type CorrectDose, SKIP_REASONS } from './decide.js';

const said = {
  at: instant.nullable().default(null).describe('left out: now'),
  doseId: uuid.nullable().default(null).describe('an id of your own; left out: the service makes one'),
};
const amount = quantity.nullable().default(null).describe('left out: as directed');
const taken = { ...said, outcome: z.literal('taken'), quantity: amount };
const skipped = { ...said, outcome: z.literal('skipped'), reason: z.enum(SKIP_REASONS) };
const newDose = z
  .discriminatedUnion('outcome', [z.strictObject(taken), z.strictObject(skipped)])
  .meta({ id: 'NewDose', title: 'NewDose', example: { outcome: 'taken' } });

const supplied = {
  supply: uuid.nullable().default(null).describe("one of the patient's supplies; left out: a new one is opened"),
  medication: givenMedication,
};
const newSuppliedDose = z
  .discriminatedUnion('outcome', [
    z.strictObject({ ...supplied, ...taken }),
    z.strictObject({ ...supplied, ...skipped }),
  ])
  .meta({
    id: 'NewSuppliedDose',
    title: 'NewSuppliedDose',
    example: {
      medication: { code: '243670', display: 'aspirin 81 MG Oral Tablet' },
      outcome: 'taken',
      quantity: { value: '1', unit: '{tablet}' },
    },
  });

const correction = { at: instant.describe('when it was really taken or skipped'), reason: z.enum(CORRECTION_REASONS) };
const correctBody = z
  .discriminatedUnion('outcome', [
    z.strictObject({ ...correction, outcome: z.literal('taken'), quantity: amount }),
    z.strictObject({ ...correction, outcome: z.enum(['skipped', 'entered-in-error']) }),
  ])
  .meta({
    id: 'DoseCorrection',
    title: 'DoseCorrection',
    example: { outcome: 'taken', at: '2025-11-04T08:00:00-05:00', reason: 'wrong-time' },
  });

const recorded = z
  .object({ dose: doseView, runOut: runOutView.nullable(), ...receipts })
  .meta({ id: 'RecordedDose', title: 'RecordedDose' });
const recordedSupplied = z
  .object({ dose: doseView, supply: supplyView, ...receipts })
  .meta({ id: 'RecordedSuppliedDose', title: 'RecordedSuppliedDose' });

const doseQuery = listQuery(numberCursor, {});
const page = pageOf(doseView, 'DosePage');

@ApiTags('adherence')
@Controller('api')
export class AdherenceController {
  constructor(
    private readonly adherence: AdherenceService,
    private readonly access: PrescriptionAccess,
    private readonly clock: Clock,
  ) {}

  @Post('prescriptions/:id/doses')
  @Action('dose.record')
  @Refuses('ledger.chain-unknown', 'dose.duplicate', 'dose.in-future', 'quantity.invalid')
  @ApiOperation({ summary: 'Log that a dose was taken or skipped' })
  @ApiCreatedResponse({ standardSchema: recorded })
  async record(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newDose }) body: z.output<typeof newDose>,
  ): Promise<z.output<typeof recorded>> {
    return this.recorded(await this.adherence.record(by, id, body));
  }

  @Post('prescriptions/:id/doses/:doseId/correct')
  @HttpCode(200)
  @Action('dose.record')
  @Refuses('ledger.chain-unknown', 'dose.in-future', 'dose.unknown', 'quantity.invalid')
  @ApiOperation({ summary: 'Correct what was logged about a dose' })
  @ApiOkResponse({ standardSchema: recorded })
  async correct(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Param('doseId', { schema: uuid }) doseId: string,
    @Body({ schema: correctBody }) body: z.output<typeof correctBody>,
  ): Promise<z.output<typeof recorded>> {
    return this.recorded(await this.adherence.correct(by, id, correctionOf(doseId, body)));
  }

  @Get('prescriptions/:id/doses')
  @Action('dose.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'List the latest doses, the last logged first' })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
    @Query({ schema: doseQuery }) { after, limit }: z.output<typeof doseQuery>,
  ): Promise<z.output<typeof page>> {
    const { state } = await this.access.read(id, actor, 'dose.read');
    const doses = state.doses.filter(({ seq }) => after === undefined || seq < after).toReversed();
    const items = doses.slice(0, limit);
    return { items: items.map(viewOfDose), next: doses.length > limit ? String(items.at(-1)?.seq) : null };
  }

  @Post('doses')
  @Action('dose.record')
  @Refuses('ledger.chain-unknown', 'dose.duplicate', 'dose.in-future', 'quantity.invalid')
  @ApiOperation({ summary: 'Log a dose of a medicine without a prescription' })
  @ApiCreatedResponse({ standardSchema: recordedSupplied })
  async recordSupplied(
    @By() by: By,
    @Body({ schema: newSuppliedDose }) body: z.output<typeof newSuppliedDose>,
  ): Promise<z.output<typeof recordedSupplied>> {
    const { supply, medication, ...dose } = body;
    return suppliedView(await this.adherence.recordSupplied(by, supply, medication, dose));
  }

  @Post('supplies/:id/doses/:doseId/correct')
  @HttpCode(200)
  @Action('dose.record')
  @Refuses('ledger.chain-unknown', 'dose.in-future', 'dose.unknown', 'quantity.invalid')
  @ApiOperation({ summary: 'Correct what was logged about a dose of a medicine without a prescription' })
  @ApiOkResponse({ standardSchema: recordedSupplied })
  async correctSupplied(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Param('doseId', { schema: uuid }) doseId: string,
    @Body({ schema: correctBody }) body: z.output<typeof correctBody>,
  ): Promise<z.output<typeof recordedSupplied>> {
    return suppliedView(await this.adherence.correctSupplied(by, id, correctionOf(doseId, body)));
  }

  private recorded(done: Recorded<Prescription>): z.output<typeof recorded> {
    return { dose: doseOf(done), runOut: runOut(done.state, this.clock.now()), ...receiptsOf(done.receipts) };
  }
}

function suppliedView(done: Recorded<Supply>): z.output<typeof recordedSupplied> {
  return { dose: doseOf(done), supply: viewOfSupply(done.state), ...receiptsOf(done.receipts) };
}

function correctionOf(doseId: string, body: z.output<typeof correctBody>): CorrectDose {
  return { doseId, quantity: null, ...body };
}

/** The dose that the write was about, as it is now. */
function doseOf({ events, state }: Recorded<Prescription | Supply>): z.output<typeof doseView> {
  const dose = state.doses.find(({ doseId }) => doseId === events[0]?.data['doseId']);
  if (!dose) throw new Error('a dose was recorded and is not there');
  return viewOfDose(dose);
}
