import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Clock } from '../time/clock.js';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { type Accepted, answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { withoutSignature, signature } from '../http/write/signature-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import { may } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';
import type { DispenseRecorded } from '../prescription/events.js';
import type { Prescription } from '../prescription/state.js';
import { relationsTo } from '../access/relations.js';
import { instant, medication, prescriptionView, quantity, viewOf } from '../prescription/views/prescription-view.js';
import { NOT_DISPENSED_REASONS, RELEASE_REASONS } from './decide.js';
import { REVERSAL_REASONS } from './decide-afterwards.js';
import { DispensingService } from './dispensing.service.js';

const token = z.string().min(1).max(100).describe('that the patient shows');
const secret = z.string().min(1).max(100).describe('claim secret');

const lookupBody = z.strictObject({ token });
const claimBody = z
  .strictObject({
    token: token
      .nullable()
      .default(null)
      .describe('null: by nomination, or for a refill that stayed with the pharmacy'),
    claimId: uuid.optional().describe('proposed by the caller; absent: one is made'),
    signature: signature.optional(),
  })
  .prefault({});
const releaseBody = z.strictObject({ secret, reason: z.enum(RELEASE_REASONS), signature: signature.optional() });
const notDispensedBody = z.strictObject({
  secret,
  reason: z.enum(NOT_DISPENSED_REASONS),
  signature: signature.optional(),
});
const reverseBody = z.strictObject({ reason: z.enum(REVERSAL_REASONS), signature: signature.optional() });
const newDispense = z
  .strictObject({
    secret,
    quantity,
    medication: medication.nullable().default(null).describe('absent: as ordered'),
    daysSupply: z
      .number()
      .int()
      .min(1)
      .max(3650)
      .nullable()
      .default(null)
      .describe("absent: the order's, when the ordered quantity is handed over"),
    whenHandedOver: instant.nullable().default(null).describe('absent: now'),
    dispenseId: uuid.nullable().default(null).describe('proposed by the caller; absent: one is made'),
    note: z.string().trim().max(2000).nullable().default(null),
    signature: signature.optional(),
  })
  .meta({ title: 'NewDispense' });

const claim = z.object({
  claimId: uuid,
  issue: z.number().int(),
  secret: z.string().describe('needed to dispense, release or close; can be asked for again'),
});
const claimed = z.object({ prescription: prescriptionView, claim, ...receipts });
const written = z.object({ prescription: prescriptionView, ...receipts });
const dispensed = z.object({ prescription: prescriptionView, dispenseId: uuid, ...receipts });
const reversed = z.object({
  id: uuid.describe('of the prescription'),
  dispenseId: uuid,
  prescription: prescriptionView.optional().describe('absent for a pharmacy that only reported this dispense'),
  ...receipts,
});

@ApiTags('dispensing')
@Controller('api/prescriptions')
export class DispensingController {
  constructor(
    private readonly dispensing: DispensingService,
    private readonly clock: Clock,
  ) {}

  @Post(':id/lookup')
  @HttpCode(200)
  @Action('prescription.read')
  @ApiOperation({ summary: 'One prescription, for whoever shows its token' })
  @ApiOkResponse({ standardSchema: prescriptionView })
  async lookup(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: lookupBody }) body: z.output<typeof lookupBody>,
  ): Promise<z.output<typeof prescriptionView>> {
    return viewOf(await this.dispensing.lookup(actor, id, body.token), this.clock.now());
  }

  @Post(':id/claim')
  @HttpCode(200)
  @Action('prescription.claim')
  @ApiOperation({ summary: 'Claim the issue whose turn it is' })
  @ApiOkResponse({ standardSchema: claimed })
  async claim(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: claimBody }) body: z.output<typeof claimBody>,
  ): Promise<z.output<typeof claimed>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/claim', [id], body);
    const outcome = answer(await this.dispensing.claim(actor, id, body, request, body.signature));
    return { ...this.written(outcome), claim: this.dispensing.claimed(outcome) };
  }

  @Get(':id/claim')
  @Action('claim.recover')
  @ApiOperation({ summary: "The secret of the pharmacy's own claim again, after a lost answer" })
  @ApiOkResponse({ standardSchema: claim })
  recover(@CurrentActor() actor: Actor, @Param('id', { schema: uuid }) id: string): Promise<z.output<typeof claim>> {
    return this.dispensing.recover(actor, id);
  }

  @Post(':id/release')
  @HttpCode(200)
  @Action('dispense.release')
  @ApiOperation({ summary: 'Give a claimed issue back; a cancel that waits is applied now' })
  @ApiOkResponse({ standardSchema: written })
  async release(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: releaseBody }) body: z.output<typeof releaseBody>,
  ): Promise<z.output<typeof written>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/release', [id], body);
    const { secret: shown, reason } = body;
    return this.written(answer(await this.dispensing.release(actor, id, shown, reason, request, body.signature)));
  }

  @Post(':id/dispenses')
  @Action('dispense.record')
  @ApiOperation({ summary: 'Hand over the claimed issue, in full or in part' })
  @ApiCreatedResponse({ standardSchema: dispensed })
  async dispense(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newDispense }) body: z.output<typeof newDispense>,
  ): Promise<z.output<typeof dispensed>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/dispenses', [id], body);
    const { secret: shown, ...dispensing } = withoutSignature(body);
    const outcome = answer(await this.dispensing.dispense(actor, id, shown, dispensing, request, body.signature));
    const event = outcome.events.find(({ type }) => type === 'dispense.recorded/1');
    if (!event) throw new Error('a dispense was accepted and recorded none');
    const { dispenseId } = event.data as DispenseRecorded['data'];
    return { ...this.written(outcome), dispenseId };
  }

  @Post(':id/not-dispensed')
  @HttpCode(200)
  @Action('dispense.not-dispensed')
  @ApiOperation({ summary: 'Close a claimed issue: nothing will be handed over; a cancel that waits is applied now' })
  @ApiOkResponse({ standardSchema: written })
  async notDispensed(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: notDispensedBody }) body: z.output<typeof notDispensedBody>,
  ): Promise<z.output<typeof written>> {
    const request = idempotency(actor, key, 'POST /api/prescriptions/{id}/not-dispensed', [id], body);
    const { secret: shown, reason } = body;
    return this.written(answer(await this.dispensing.notDispensed(actor, id, shown, reason, request, body.signature)));
  }

  @Post(':id/dispenses/:dispenseId/reverse')
  @HttpCode(200)
  @Action('dispense.reverse')
  @ApiOperation({ summary: "Take back a dispense of the pharmacy's own, recorded or reported" })
  @ApiOkResponse({ standardSchema: reversed })
  async reverse(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Param('dispenseId', { schema: uuid }) dispenseId: string,
    @Body({ schema: reverseBody }) body: z.output<typeof reverseBody>,
  ): Promise<z.output<typeof reversed>> {
    const route = 'POST /api/prescriptions/{id}/dispenses/{dispenseId}/reverse';
    const request = idempotency(actor, key, route, [id, dispenseId], body);
    const command = { dispenseId, reason: body.reason };
    const outcome = answer(await this.dispensing.reverse(actor, id, command, request, body.signature));
    const readable = may(actor.role, 'prescription.read', relationsTo(outcome.states[0] as Prescription, actor));
    const { prescription, ...proof } = this.written(outcome);
    return { id, dispenseId, ...(readable && { prescription }), ...proof };
  }

  private written(outcome: Accepted): z.output<typeof written> {
    const prescription = viewOf(outcome.states[0] as Prescription, this.clock.now());
    return { prescription, ...receiptsOf(outcome.receipts) };
  }
}
