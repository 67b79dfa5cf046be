import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from '../http/body/whole-number.js';
import { Clock } from '../time/clock.js';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { type Accepted, answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { runOut } from '../prescription/run-out.js';
import { doseView, supplyView, viewOfDose, viewOfSupply } from '../prescription/views/supply-view.js';
import { instant, medication, quantity, runOutView } from '../prescription/views/prescription-view.js';
import { AdherenceService } from './adherence.service.js';
import { CORRECTION_REASONS, type CorrectDose, SKIP_REASONS } from './decide.js';

const said = {
  at: instant.nullable().default(null).describe('absent: now'),
  doseId: uuid.nullable().default(null).describe('proposed by the caller; absent: one is made'),
};
const taken = { ...said, outcome: z.literal('taken'), quantity: quantity.nullable().default(null) };
const skipped = { ...said, outcome: z.literal('skipped'), reason: z.enum(SKIP_REASONS) };
const newDose = z
  .discriminatedUnion('outcome', [z.strictObject(taken), z.strictObject(skipped)])
  .meta({ title: 'NewDose' });

const supplied = {
  supply: uuid.nullable().default(null).describe("one of the patient's own; absent: a new one"),
  medication,
};
const newSuppliedDose = z
  .discriminatedUnion('outcome', [
    z.strictObject({ ...supplied, ...taken }),
    z.strictObject({ ...supplied, ...skipped }),
  ])
  .meta({ title: 'NewSuppliedDose' });

const correction = { at: instant, reason: z.enum(CORRECTION_REASONS) };
const correctBody = z
  .discriminatedUnion('outcome', [
    z.strictObject({ ...correction, outcome: z.literal('taken'), quantity: quantity.nullable().default(null) }),
    z.strictObject({ ...correction, outcome: z.enum(['skipped', 'entered-in-error']) }),
  ])
  .meta({ title: 'DoseCorrection' });

const recorded = z.object({ dose: doseView, runOut: runOutView, ...receipts });
const recordedSupplied = z.object({ dose: doseView, supply: supplyView, ...receipts });

const listQuery = z.strictObject({
  after: wholeNumber(0).optional().describe('`next` of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const page = z.object({ items: z.array(doseView), next: z.string().nullable() });

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
  @ApiOperation({ summary: 'Say that a dose was taken or skipped' })
  @ApiCreatedResponse({ standardSchema: recorded })
  async record(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newDose }) body: z.output<typeof newDose>,
  ): Promise<z.output<typeof recorded>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/doses', [id], body);
    return this.recorded(answer(await this.adherence.record(actor, id, body, request)));
  }

  @Post('prescriptions/:id/doses/:doseId/correct')
  @HttpCode(200)
  @Action('dose.record')
  @ApiOperation({ summary: 'Correct what was said about a dose' })
  @ApiOkResponse({ standardSchema: recorded })
  async correct(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Param('doseId', { schema: uuid }) doseId: string,
    @Body({ schema: correctBody }) body: z.output<typeof correctBody>,
  ): Promise<z.output<typeof recorded>> {
    const route = 'POST /api/prescriptions/{id}/doses/{doseId}/correct';
    const request = idempotency(actor, key, route, [id, doseId], body);
    return this.recorded(answer(await this.adherence.correct(actor, id, correctionOf(doseId, body), request)));
  }

  @Get('prescriptions/:id/doses')
  @Action('dose.read')
  @ApiOperation({ summary: 'The latest doses, last said first' })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
    @Query({ schema: listQuery }) { after, limit }: z.output<typeof listQuery>,
  ): Promise<z.output<typeof page>> {
    const { state } = await this.access.read(id, actor, 'dose.read');
    const doses = state.doses.filter(({ seq }) => after === undefined || seq < after).toReversed();
    const items = doses.slice(0, limit);
    return { items: items.map(viewOfDose), next: doses.length > limit ? String(items.at(-1)?.seq) : null };
  }

  @Post('doses')
  @Action('dose.record')
  @ApiOperation({ summary: 'Say that a dose of a medicine without a prescription was taken or skipped' })
  @ApiCreatedResponse({ standardSchema: recordedSupplied })
  async recordSupplied(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newSuppliedDose }) body: z.output<typeof newSuppliedDose>,
  ): Promise<z.output<typeof recordedSupplied>> {
    const request = idempotency(actor, key, 'POST /api/doses', [], body);
    const { supply, medication: product, ...dose } = body;
    return this.supplied(answer(await this.adherence.recordSupplied(actor, supply, product, dose, request)));
  }

  @Post('supplies/:id/doses/:doseId/correct')
  @HttpCode(200)
  @Action('dose.record')
  @ApiOperation({ summary: 'Correct what was said about a dose of a medicine without a prescription' })
  @ApiOkResponse({ standardSchema: recordedSupplied })
  async correctSupplied(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Param('doseId', { schema: uuid }) doseId: string,
    @Body({ schema: correctBody }) body: z.output<typeof correctBody>,
  ): Promise<z.output<typeof recordedSupplied>> {
    const route = 'POST /api/supplies/{id}/doses/{doseId}/correct';
    const request = idempotency(actor, key, route, [id, doseId], body);
    return this.supplied(answer(await this.adherence.correctSupplied(actor, id, correctionOf(doseId, body), request)));
  }

  private recorded(outcome: Accepted): z.output<typeof recorded> {
    const rx = outcome.states[0] as Prescription;
    return { dose: doseOf(outcome, rx), runOut: runOut(rx, this.clock.now()), ...receiptsOf(outcome.receipts) };
  }

  private supplied(outcome: Accepted): z.output<typeof recordedSupplied> {
    const supply = outcome.states[0] as Supply;
    return { dose: doseOf(outcome, supply), supply: viewOfSupply(supply), ...receiptsOf(outcome.receipts) };
  }
}

function correctionOf(doseId: string, body: z.output<typeof correctBody>): CorrectDose {
  return { doseId, quantity: null, ...body };
}

/** The dose that the write was about, as it is now. */
function doseOf({ events }: Accepted, { doses }: Prescription | Supply): z.output<typeof doseView> {
  const dose = doses.find(({ doseId }) => doseId === events[0]?.data['doseId']);
  if (!dose) throw new Error('a dose was recorded and is not there');
  return viewOfDose(dose);
}
