import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf } from '../http/body/paging.js';
import { Clock } from '../time/clock.js';
import { DEMO_IDS, EXAMPLE_MEDICATION } from '../http/openapi/demo-ids.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { signature, withoutSignature } from '../http/write/signature-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import { may } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';
import type { DispenseReported } from '../prescription/events.js';
import { relationsTo } from '../access/relations.js';
import { supplyView, viewOfSupply } from '../prescription/views/supply-view.js';
import {
  givenMedication,
  instant,
  prescriptionView,
  quantity,
  viewOf,
} from '../prescription/views/prescription-view.js';
import { REPORT_REASONS } from './decide-afterwards.js';
import { SuppliesService } from './supplies.service.js';

const orderNamed = z
  .strictObject({
    issuer: z.guid().toLowerCase().describe('the practice'),
    number: z.string().min(1).max(200).describe("the practice's order number"),
  })
  .meta({ id: 'OrderName', title: 'OrderName' });

const newReport = z
  .strictObject({
    order: orderNamed.nullable().default(null).describe('the prescription, as far as the pharmacy knows it'),
    patient: uuid.nullable().default(null).describe('as far as the pharmacy knows them'),
    issue: z.number().int().min(0).max(99).nullable().default(null).describe('0 is the original fill'),
    medication: givenMedication,
    quantity,
    daysSupply: z.number().int().min(1).max(3650).describe('days that it lasts'),
    whenHandedOver: instant,
    reason: z.enum(REPORT_REASONS).describe('why it was not handed over under a claim'),
    note: z.string().trim().max(2000).nullable().default(null),
    dispenseId: uuid.nullable().default(null).describe('an id of your own; left out: the service makes one'),
    id: uuid.optional().describe('an id of your own for the new record; left out: the service makes one'),
    signature: signature.optional(),
  })
  .meta({
    id: 'NewDispenseReport',
    title: 'NewDispenseReport',
    example: {
      patient: DEMO_IDS.patient,
      medication: EXAMPLE_MEDICATION,
      quantity: { value: '30', unit: '{tablet}' },
      daysSupply: 30,
      whenHandedOver: '2025-11-03T16:30:00-05:00',
      reason: 'outage',
    },
  });

const reported = z
  .object({
    id: uuid.describe('of the prescription or supply on which it is recorded'),
    dispenseId: uuid,
    prescription: prescriptionView.optional().describe('for a pharmacy that may read it: a report opens nothing'),
    supply: supplyView.optional().describe('when no prescription was named'),
    ...receipts,
  })
  .meta({ id: 'ReportedDispense', title: 'ReportedDispense' });

const supplyQuery = listQuery(numberCursor, {});
const page = pageOf(supplyView, 'SupplyPage');

const matchBody = z
  .strictObject({ prescription: uuid })
  .meta({ id: 'Match', title: 'Match', example: { prescription: 'paste-the-id-of-the-prescription' } });
const matched = z.object({ supply: supplyView, ...receipts }).meta({ id: 'MatchedSupply', title: 'MatchedSupply' });

@ApiTags('dispensing')
@Controller('api')
export class SuppliesController {
  constructor(
    private readonly supplies: SuppliesService,
    private readonly clock: Clock,
  ) {}

  @Post('dispense-reports')
  @Action('dispense.report')
  @Refuses(
    'ledger.chain-unknown',
    'ledger.chain-taken',
    'dispense.duplicate',
    'dispense.in-future',
    'dispense.too-many-reports',
    'quantity.invalid',
  )
  @ApiOperation({
    summary: 'Report a dispense that already happened, whatever rules it broke',
    description:
      'For what was handed over without a claim, for example during an outage. It is compared with the other records afterwards.',
  })
  @ApiCreatedResponse({ standardSchema: reported })
  async report(
    @By() by: By,
    @Body({ schema: newReport }) body: z.output<typeof newReport>,
  ): Promise<z.output<typeof reported>> {
    const { state, events, receipts: all } = await this.supplies.report(by, withoutSignature(body));
    const [event] = events;
    if (!event) throw new Error('a report was accepted and recorded nothing');
    const { dispenseId } = event.data as DispenseReported['data'];
    const common = { id: event.chain, dispenseId, ...receiptsOf(all) };
    if (!('order' in state)) return { ...common, supply: viewOfSupply(state) };
    const readable = may(by.actor.role, 'prescription.read', relationsTo(state, by.actor));
    return { ...common, ...(readable && { prescription: viewOf(state, this.clock.now()) }) };
  }

  @Get('supplies')
  @Action('supply.read')
  @ApiOperation({
    summary: 'List supplies, newest first',
    description:
      'A supply is what was handed over or taken without a known prescription. A pharmacist sees what the pharmacy reported, a patient their own.',
  })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: supplyQuery }) query: z.output<typeof supplyQuery>,
  ): Promise<z.output<typeof page>> {
    const { items, next } = await this.supplies.list(actor, query);
    return { items: items.map(viewOfSupply), next };
  }

  @Get('supplies/:id')
  @Action('supply.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'Read a supply' })
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
  @Refuses('ledger.chain-unknown', 'supply.already-matched', 'supply.other-patient')
  @ApiOperation({ summary: 'Say which prescription a supply was for' })
  @ApiOkResponse({ standardSchema: matched })
  async match(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: matchBody }) { prescription }: z.output<typeof matchBody>,
  ): Promise<z.output<typeof matched>> {
    const { state, receipts: all } = await this.supplies.match(by, id, prescription);
    return { supply: viewOfSupply(state), ...receiptsOf(all) };
  }
}
