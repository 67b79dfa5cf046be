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
import type { Actor } from '../ledger/model.js';
import { searchDrugs } from '../prescription/drugs/formulary.js';
import type { Prescription } from '../prescription/state.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { date, medication, prescriptionView, quantity, viewOf } from '../prescription/views/prescription-view.js';
import { CANCEL_REASONS } from './decide.js';
import { PrescribingService } from './prescribing.service.js';

const text = (longest: number) => z.string().trim().max(longest);
const orderNumber = z
  .string()
  .regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 visible ASCII characters')
  .describe("the practice's own order number, unique within the practice");

const proposedId = uuid
  .optional()
  .describe('of a prescription that this opens, proposed by the caller; absent: one is made');

const newPrescription = z
  .strictObject({
    number: orderNumber.nullable().default(null),
    patient: uuid,
    medication: medication.nullable().default(null),
    directions: text(2000).nullable().default(null),
    quantity: quantity.nullable().default(null).describe('of one issue'),
    daysSupply: z.number().int().min(1).max(3650).nullable().default(null).describe('days that one issue lasts'),
    refills: z.number().int().min(0).max(99).default(0),
    substitutionAllowed: z.boolean().default(true),
    writtenOn: date.nullable().default(null).describe("today in the practice's zone; absent: today"),
    earliestFillOn: date.nullable().default(null),
    nominatedPharmacy: uuid.nullable().default(null),
    note: text(2000).nullable().default(null),
    id: proposedId,
    signature: signature.optional(),
  })
  .meta({ title: 'NewPrescription' });

const issued = z.object({
  prescription: prescriptionView,
  token: z.string().describe('the patient shows it at a pharmacy; give it to nobody else'),
  ...receipts,
});
const written = z.object({ prescription: prescriptionView, ...receipts });

const cancelBody = z.strictObject({
  reason: z.enum(CANCEL_REASONS),
  note: text(2000).nullable().default(null),
  signature: signature.optional(),
});
const cancelByNumberBody = cancelBody.extend({ number: orderNumber, id: proposedId });

const listQuery = z.strictObject({
  status: prescriptionView.shape.status.unwrap().optional(),
  issueStatus: prescriptionView.shape.issues.element.shape.status.optional().describe('of the issue whose turn it is'),
  patient: uuid.optional(),
  after: wholeNumber(0).optional().describe('`next` of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const page = z.object({ items: z.array(prescriptionView), next: z.string().nullable() });

const drug = z.object({
  rxcui: z.string(),
  name: z.string(),
  ingredient: z.string(),
  strength: z.string(),
  form: z.string(),
  schedule: z.enum(['II', 'III', 'IV', 'V']).nullable(),
});

@ApiTags('prescribing')
@Controller('api')
export class PrescribingController {
  constructor(
    private readonly prescribing: PrescribingService,
    private readonly access: PrescriptionAccess,
    private readonly clock: Clock,
  ) {}

  @Post('prescriptions')
  @Action('prescription.issue')
  @ApiOperation({ summary: 'Issue a prescription' })
  @ApiCreatedResponse({ standardSchema: issued })
  async issue(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newPrescription }) body: z.output<typeof newPrescription>,
  ): Promise<z.output<typeof issued>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions', [], body);
    const outcome = answer(await this.prescribing.issue(actor, withoutSignature(body), request, body.signature));
    const rx = outcome.states[0] as Prescription;
    const token = this.prescribing.tokenOf(rx);
    if (token === null) throw new Error('an issued prescription has a token');
    return { prescription: this.view(rx), token, ...receiptsOf(outcome.receipts) };
  }

  @Get('prescriptions')
  @Action('prescription.list')
  @ApiOperation({
    summary: "What the caller starts from, newest first: a practice's orders, a pharmacy's, a patient's own",
  })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
  ): Promise<z.output<typeof page>> {
    const { items, next } = await this.access.list(actor, query);
    return { items: items.map((rx) => this.view(rx)), next };
  }

  @Get('prescriptions/:id')
  @Action('prescription.read')
  @ApiOperation({ summary: 'One prescription' })
  @ApiOkResponse({ standardSchema: prescriptionView })
  async read(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<z.output<typeof prescriptionView>> {
    return this.view((await this.access.read(id, actor, 'prescription.read')).state);
  }

  @Get('prescriptions/:id/token')
  @Action('token.read')
  @ApiOperation({ summary: 'The token that the patient shows at a pharmacy' })
  @ApiOkResponse({ standardSchema: z.object({ token: z.string().nullable() }) })
  async token(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<{ token: string | null }> {
    return { token: this.prescribing.tokenOf((await this.access.read(id, actor, 'token.read')).state) };
  }

  @Post('prescriptions/:id/cancel')
  @HttpCode(200)
  @Action('prescription.cancel')
  @ApiOperation({ summary: 'Cancel; pending while a pharmacy holds it' })
  @ApiOkResponse({ standardSchema: written })
  async cancel(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: cancelBody }) body: z.output<typeof cancelBody>,
  ): Promise<z.output<typeof written>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/cancel', [id], body);
    const outcome = answer(await this.prescribing.cancel(actor, id, body, request, body.signature));
    return { prescription: this.view(outcome.states[0] as Prescription), ...receiptsOf(outcome.receipts) };
  }

  @Post('cancellations')
  @HttpCode(200)
  @Action('prescription.cancel')
  @ApiOperation({ summary: 'Cancel by order number, also before the order has arrived' })
  @ApiOkResponse({ standardSchema: written })
  async cancelByNumber(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: cancelByNumberBody }) body: z.output<typeof cancelByNumberBody>,
  ): Promise<z.output<typeof written>> {
    const request = idempotency(actor, key, 'POST /api/cancellations', [], body);
    const outcome = answer(await this.prescribing.cancelByNumber(actor, body, request, body.signature));
    return { prescription: this.view(outcome.states[0] as Prescription), ...receiptsOf(outcome.receipts) };
  }

  @Get('drugs')
  @Action('self.read')
  @ApiOperation({ summary: 'The formulary, by part of a name, ingredient or code' })
  @ApiOkResponse({ standardSchema: z.object({ items: z.array(drug) }) })
  drugs(@Query('search', { schema: z.string().max(100).default('') }) search: string): {
    items: z.output<typeof drug>[];
  } {
    return { items: [...searchDrugs(search)].slice(0, 200) };
  }

  private view(rx: Prescription): z.output<typeof prescriptionView> {
    return viewOf(rx, this.clock.now());
  }
}
