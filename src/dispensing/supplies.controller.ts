import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumber, wholeNumberOr } from '../http/body/whole-number.js';
import { Clock } from '../time/clock.js';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { withoutSignature, signature } from '../http/write/signature-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import { may } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';
import type { DispenseReported } from '../prescription/events.js';
import type { Prescription, Supply } from '../prescription/state.js';
import { relationsTo } from '../access/relations.js';
import { supplyView, viewOfSupply } from '../prescription/views/supply-view.js';
import { instant, medication, prescriptionView, quantity, viewOf } from '../prescription/views/prescription-view.js';
import { REPORT_REASONS } from './decide-afterwards.js';
import { SuppliesService } from './supplies.service.js';

const newReport = z
  .strictObject({
    order: z
      .strictObject({ issuer: z.guid().toLowerCase(), number: z.string().min(1).max(200) })
      .nullable()
      .default(null)
      .describe("the order's name, as far as the pharmacy knows it"),
    patient: uuid.nullable().default(null),
    issue: z.number().int().min(0).max(99).nullable().default(null),
    medication,
    quantity,
    daysSupply: z.number().int().min(1).max(3650),
    whenHandedOver: instant,
    reason: z.enum(REPORT_REASONS),
    note: z.string().trim().max(2000).nullable().default(null),
    dispenseId: uuid.nullable().default(null).describe('proposed by the caller; absent: one is made'),
    id: uuid.optional().describe('of the record that this opens, proposed by the caller; absent: one is made'),
    signature: signature.optional(),
  })
  .meta({ title: 'NewDispenseReport' });

const reported = z.object({
  id: uuid.describe('of the prescription or supply that it was recorded on'),
  dispenseId: uuid,
  prescription: prescriptionView.optional().describe('for a pharmacy that may read it: a report opens nothing'),
  supply: supplyView.optional().describe('when no order was named'),
  ...receipts,
});

const listQuery = z.strictObject({
  after: wholeNumber(0).optional().describe('`next` of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const page = z.object({ items: z.array(supplyView), next: z.string().nullable() });

const matchBody = z.strictObject({ prescription: uuid });
const matched = z.object({ supply: supplyView, ...receipts });

@ApiTags('dispensing')
@Controller('api')
export class SuppliesController {
  constructor(
    private readonly supplies: SuppliesService,
    private readonly clock: Clock,
  ) {}

  @Post('dispense-reports')
  @Action('dispense.report')
  @ApiOperation({ summary: 'Record a dispense that already happened, whatever rules it broke' })
  @ApiCreatedResponse({ standardSchema: reported })
  async report(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newReport }) body: z.output<typeof newReport>,
  ): Promise<z.output<typeof reported>> {
    const request = idempotency(actor, key, 'POST /api/dispense-reports', [], body);
    const outcome = answer(await this.supplies.report(actor, withoutSignature(body), request, body.signature));
    const [event] = outcome.events;
    if (!event) throw new Error('a report was accepted and recorded nothing');
    const { dispenseId } = event.data as DispenseReported['data'];
    const receipt = receiptsOf(outcome.receipts);
    if (event.kind === 'supply') {
      return { id: event.chain, dispenseId, supply: viewOfSupply(outcome.states[0] as Supply), ...receipt };
    }
    const rx = outcome.states[0] as Prescription;
    const readable = may(actor.role, 'prescription.read', relationsTo(rx, actor));
    return {
      id: event.chain,
      dispenseId,
      ...(readable && { prescription: viewOf(rx, this.clock.now()) }),
      ...receipt,
    };
  }

  @Get('supplies')
  @Action('supply.read')
  @ApiOperation({ summary: "A pharmacy's reports without an order, a patient's own supplies, newest first" })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
  ): Promise<z.output<typeof page>> {
    const { items, next } = await this.supplies.list(actor, query);
    return { items: items.map(viewOfSupply), next };
  }

  @Get('supplies/:id')
  @Action('supply.read')
  @ApiOperation({ summary: 'One supply' })
  @ApiOkResponse({ standardSchema: supplyView })
  async read(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<z.output<typeof supplyView>> {
    return viewOfSupply((await this.supplies.read(id, actor)).state);
  }

  @Post('supplies/:id/match')
  @HttpCode(200)
  @Action('supply.match')
  @ApiOperation({ summary: 'Say which prescription a supply was for' })
  @ApiOkResponse({ standardSchema: matched })
  async match(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: matchBody }) body: z.output<typeof matchBody>,
  ): Promise<z.output<typeof matched>> {
    const request = idempotency(actor, key, 'POST /api/supplies/{id}/match', [id], body);
    const outcome = answer(await this.supplies.match(actor, id, body.prescription, request));
    return { supply: viewOfSupply(outcome.states[0] as Supply), ...receiptsOf(outcome.receipts) };
  }
}
