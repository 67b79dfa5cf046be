import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf, slicePage } from '../http/body/paging.js';
import { Clock } from '../time/clock.js';
import { DEMO_IDS, EXAMPLE_MEDICATION } from '../http/openapi/demo-ids.js';
import { Refuses } from '../http/openapi/refuses.js';
import { demanded } from '../http/openapi/schemas.js';
import { By } from '../http/write/by.js';
import { signature, withoutSignature } from '../http/write/signature-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import { searchDrugs } from '../prescription/drugs/formulary.js';
import { PrescriptionAccess } from '../access/prescription-access.js';
import { date, givenMedication, prescriptionView, quantity, viewOf } from '../prescription/views/prescription-view.js';
import { writtenPrescription, writtenView } from '../access/written-prescription.js';
import { CANCEL_REASONS } from './decide.js';
import { PrescribingService } from './prescribing.service.js';

const text = (longest: number) => z.string().trim().max(longest);
const orderNumber = z
  .string()
  .regex(/^[\x21-\x7e]{1,64}$/, 'must be 1 to 64 visible ASCII characters')
  .describe("the practice's own order number, unique within the practice");

const proposedId = uuid.optional().describe('an id of your own for the new record; left out: the service makes one');

const newPrescription = z
  .strictObject({
    number: orderNumber.nullable().default(null).describe("the practice's own order number; left out: one is made"),
    patient: uuid,
    medication: demanded(givenMedication),
    directions: demanded(text(2000)),
    quantity: demanded(quantity).describe('of one fill'),
    daysSupply: demanded(z.number().int().min(1).max(3650)).describe('days that one fill lasts'),
    refills: z.number().int().min(0).max(99).default(0),
    substitutionAllowed: z.boolean().default(true),
    writtenOn: date.nullable().default(null).describe("today in the practice's time zone; left out: today"),
    earliestFillOn: date.nullable().default(null).describe('first day on which it may be filled'),
    nominatedPharmacy: uuid.nullable().default(null).describe('this pharmacy can claim it without the token'),
    note: text(2000).nullable().default(null),
    id: proposedId,
    signature: signature.optional(),
  })
  .meta({
    id: 'NewPrescription',
    title: 'NewPrescription',
    example: {
      patient: DEMO_IDS.patient,
      medication: EXAMPLE_MEDICATION,
      directions: 'Take one tablet in the morning',
      quantity: { value: '30', unit: '{tablet}' },
      daysSupply: 30,
      refills: 2,
    },
  });

const issued = writtenPrescription
  .extend({ token: z.string().describe('the patient shows it at a pharmacy; give it to nobody else') })
  .meta({ id: 'IssuedPrescription', title: 'IssuedPrescription' });

const cancellation = z.strictObject({
  reason: z.enum(CANCEL_REASONS),
  note: text(2000).nullable().default(null),
  signature: signature.optional(),
});
const cancelBody = cancellation.meta({
  id: 'Cancellation',
  title: 'Cancellation',
  example: { reason: 'patient-request', note: 'Switched to another medicine' },
});
const cancelByNumberBody = cancellation.extend({ number: orderNumber, id: proposedId }).meta({
  id: 'CancellationByNumber',
  title: 'CancellationByNumber',
  example: { number: 'RX-2026-0117', reason: 'prescribed-in-error' },
});

/** Why a prescription is not cancelled. */
const NOT_CANCELLED = [
  'cancel.already-cancelled',
  'cancel.already-pending',
  'cancel.dispensed',
  'cancel.expired',
  'cancel.not-active',
  'cancel.not-dispensed',
] as const;

const prescriptionQuery = listQuery(numberCursor, {
  status: prescriptionView.shape.status.unwrap().optional(),
  issueStatus: prescriptionView.shape.issues.element.shape.status
    .optional()
    .describe('of the fill whose turn it is: `ready` lists what can be claimed'),
  patient: uuid.optional().describe('of this patient only'),
});
const page = pageOf(prescriptionView, 'PrescriptionPage');

const shownToken = z
  .object({ token: z.string().nullable().describe('null: an imported prescription has none') })
  .meta({ id: 'PrescriptionToken', title: 'PrescriptionToken' });

const drug = z
  .object({
    rxcui: z.string(),
    name: z.string(),
    ingredient: z.string(),
    strength: z.string(),
    form: z.string(),
    schedule: z.enum(['II', 'III', 'IV', 'V']).nullable().describe('of a controlled substance (21 CFR 1308)'),
  })
  .meta({ id: 'Drug', title: 'Drug' });
const drugQuery = listQuery(numberCursor, { search: z.string().max(100).default('') });
const drugPage = pageOf(drug, 'DrugPage');

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
  @Refuses(
    'ledger.chain-unknown',
    'ledger.chain-taken',
    'prescription.incomplete',
    'prescription.number-taken',
    'prescription.not-dated-today',
    'prescription.too-many-refills',
    'prescription.never-fillable',
    'prescription.pharmacy-unknown',
    'quantity.invalid',
  )
  @ApiOperation({ summary: 'Issue a prescription' })
  @ApiCreatedResponse({ standardSchema: issued })
  async issue(
    @By() by: By,
    @Body({ schema: newPrescription }) body: z.output<typeof newPrescription>,
  ): Promise<z.output<typeof issued>> {
    const recorded = await this.prescribing.issue(by, withoutSignature(body));
    const token = this.prescribing.tokenOf(recorded.state);
    if (token === null) throw new Error('an issued prescription has a token');
    const { prescription, ...proof } = writtenView(recorded, this.clock.now());
    return { prescription, token, ...proof };
  }

  @Get('prescriptions')
  @Action('prescription.list')
  @ApiOperation({
    summary: 'List prescriptions, newest first',
    description:
      'A prescriber sees what their practice issued; a pharmacist what the pharmacy holds, held or is nominated for; a patient their own.',
  })
  @ApiOkResponse({ standardSchema: page })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: prescriptionQuery }) query: z.output<typeof prescriptionQuery>,
  ): Promise<z.output<typeof page>> {
    const { items, next } = await this.access.list(actor, query);
    return { items: items.map((rx) => viewOf(rx, this.clock.now())), next };
  }

  @Get('prescriptions/:id')
  @Action('prescription.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'Read a prescription' })
  @ApiOkResponse({ standardSchema: prescriptionView })
  async read(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<z.output<typeof prescriptionView>> {
    return viewOf((await this.access.read(id, actor, 'prescription.read')).state, this.clock.now());
  }

  @Get('prescriptions/:id/token')
  @Action('token.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'Get the token that the patient shows at a pharmacy' })
  @ApiOkResponse({ standardSchema: shownToken })
  async token(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<z.output<typeof shownToken>> {
    return { token: this.prescribing.tokenOf((await this.access.read(id, actor, 'token.read')).state) };
  }

  @Post('prescriptions/:id/cancel')
  @HttpCode(200)
  @Action('prescription.cancel')
  @Refuses('ledger.chain-unknown', ...NOT_CANCELLED)
  @ApiOperation({
    summary: 'Cancel a prescription',
    description: 'While a pharmacy holds it, the cancellation waits until the pharmacy gives it back.',
  })
  @ApiOkResponse({ standardSchema: writtenPrescription })
  async cancel(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: cancelBody }) body: z.output<typeof cancelBody>,
  ): Promise<z.output<typeof writtenPrescription>> {
    return writtenView(await this.prescribing.cancel(by, id, body), this.clock.now());
  }

  @Post('cancellations')
  @HttpCode(200)
  @Action('prescription.cancel')
  @Refuses('ledger.chain-taken', ...NOT_CANCELLED)
  @ApiOperation({
    summary: 'Cancel a prescription by its order number',
    description: 'Also before the prescription itself has arrived: it is then cancelled when it does.',
  })
  @ApiOkResponse({ standardSchema: writtenPrescription })
  async cancelByNumber(
    @By() by: By,
    @Body({ schema: cancelByNumberBody }) body: z.output<typeof cancelByNumberBody>,
  ): Promise<z.output<typeof writtenPrescription>> {
    return writtenView(await this.prescribing.cancelByNumber(by, body), this.clock.now());
  }

  @Get('drugs')
  @Action('self.read')
  @ApiOperation({ summary: 'Search the formulary by part of a name, an ingredient or a code' })
  @ApiOkResponse({ standardSchema: drugPage })
  drugs(@Query({ schema: drugQuery }) { search, ...place }: z.output<typeof drugQuery>): z.output<typeof drugPage> {
    return slicePage([...searchDrugs(search)], place);
  }
}
