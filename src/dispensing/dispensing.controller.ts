import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Clock } from '../time/clock.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import type { Recorded } from '../http/write/record.js';
import { signature, withoutSignature } from '../http/write/signature-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import { may } from '../identity/guard/policy.js';
import type { Actor } from '../ledger/model.js';
import type { DispenseRecorded } from '../prescription/events.js';
import type { Prescription } from '../prescription/state.js';
import { relationsTo } from '../access/relations.js';
import {
  givenMedication,
  instant,
  prescriptionView,
  quantity,
  viewOf,
} from '../prescription/views/prescription-view.js';
import { writtenPrescription, writtenView } from '../access/written-prescription.js';
import { NOT_DISPENSED_REASONS, RELEASE_REASONS } from './decide.js';
import { REVERSAL_REASONS } from './decide-afterwards.js';
import { DispensingService } from './dispensing.service.js';

const token = z.string().min(1).max(100).describe('the token that the patient shows');
const secret = z.string().min(1).max(100).describe('the claim secret: the claim answered it');

/** For examples: what only the service knows is pasted there. */
const PASTE = { token: 'paste-the-token-of-the-prescription', secret: 'paste-the-secret-of-your-claim' } as const;

const lookupBody = z.strictObject({ token }).meta({ id: 'Lookup', title: 'Lookup', example: { token: PASTE.token } });
const claimBody = z
  .strictObject({
    token: token.nullable().default(null).describe('left out: your pharmacy is nominated, or the refills stay with it'),
    claimId: uuid.optional().describe('an id of your own for the claim; left out: the service makes one'),
    signature: signature.optional(),
  })
  .meta({ id: 'NewClaim', title: 'NewClaim', example: { token: PASTE.token } });
const releaseBody = z
  .strictObject({ secret, reason: z.enum(RELEASE_REASONS), signature: signature.optional() })
  .meta({ id: 'Release', title: 'Release', example: { secret: PASTE.secret, reason: 'out-of-stock' } });
const notDispensedBody = z
  .strictObject({ secret, reason: z.enum(NOT_DISPENSED_REASONS), signature: signature.optional() })
  .meta({ id: 'NotDispensed', title: 'NotDispensed', example: { secret: PASTE.secret, reason: 'not-collected' } });
const reverseBody = z
  .strictObject({ reason: z.enum(REVERSAL_REASONS), signature: signature.optional() })
  .meta({ id: 'Reversal', title: 'Reversal', example: { reason: 'wrong-entry' } });
const newDispense = z
  .strictObject({
    secret,
    quantity,
    medication: givenMedication.nullable().default(null).describe('left out: as ordered'),
    daysSupply: z
      .number()
      .int()
      .min(1)
      .max(3650)
      .nullable()
      .default(null)
      .describe('days that it lasts; needed unless the ordered quantity is handed over'),
    whenHandedOver: instant.nullable().default(null).describe('left out: now'),
    dispenseId: uuid.nullable().default(null).describe('an id of your own; left out: the service makes one'),
    note: z.string().trim().max(2000).nullable().default(null),
    signature: signature.optional(),
  })
  .meta({
    id: 'NewDispense',
    title: 'NewDispense',
    example: { secret: PASTE.secret, quantity: { value: '30', unit: '{tablet}' } },
  });

const claim = z
  .object({
    claimId: uuid,
    issue: z.number().int().describe('number of the issue that is claimed'),
    secret: z.string().describe('needed to hand over, give back or close; `GET …/claim` tells it again'),
  })
  .meta({ id: 'Claim', title: 'Claim' });
const claimed = writtenPrescription.extend({ claim }).meta({ id: 'ClaimedPrescription', title: 'ClaimedPrescription' });
const dispensed = writtenPrescription
  .extend({ dispenseId: uuid })
  .meta({ id: 'DispensedPrescription', title: 'DispensedPrescription' });
const reversed = dispensed
  .extend({
    id: uuid.describe('of the prescription'),
    prescription: prescriptionView.optional().describe('absent for a pharmacy that only reported this dispense'),
  })
  .meta({ id: 'ReversedDispense', title: 'ReversedDispense' });

/** Why a claim cannot be used. */
const NOT_YOUR_CLAIM = ['ledger.chain-unknown', 'claim.none', 'claim.not-holder', 'claim.secret-wrong'] as const;

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
  @Refuses('ledger.chain-unknown', 'claim.token-wrong')
  @ApiOperation({ summary: 'Look at a prescription before claiming it, with the token that the patient shows' })
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
  @Refuses(
    'ledger.chain-unknown',
    'claim.not-entitled',
    'claim.token-wrong',
    'prescription.already-claimed-by-you',
    'prescription.cancel-pending',
    'prescription.cancelled',
    'prescription.claimed-elsewhere',
    'prescription.dispensed',
    'prescription.expired',
    'prescription.historical',
    'prescription.not-active',
    'prescription.not-dispensed',
    'prescription.not-ready',
    'prescription.refills-elsewhere',
  )
  @ApiOperation({
    summary: 'Claim a prescription for your pharmacy',
    description: 'Claims the fill whose turn it is. Until you give it back, no other pharmacy can claim it.',
  })
  @ApiOkResponse({ standardSchema: claimed })
  async claim(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: claimBody }) body: z.output<typeof claimBody>,
  ): Promise<z.output<typeof claimed>> {
    const recorded = await this.dispensing.claim(by, id, body);
    return { ...writtenView(recorded, this.clock.now()), claim: this.dispensing.claimed(recorded) };
  }

  @Get(':id/claim')
  @Action('claim.recover')
  @Refuses('ledger.chain-unknown', 'claim.none', 'claim.not-holder')
  @ApiOperation({ summary: "Get the secret of your pharmacy's claim again, after a lost answer" })
  @ApiOkResponse({ standardSchema: claim })
  recover(@CurrentActor() actor: Actor, @Param('id', { schema: uuid }) id: string): Promise<z.output<typeof claim>> {
    return this.dispensing.recover(actor, id);
  }

  @Post(':id/release')
  @HttpCode(200)
  @Action('dispense.release')
  @Refuses(...NOT_YOUR_CLAIM)
  @ApiOperation({
    summary: 'Give a claimed prescription back',
    description: 'Another pharmacy can then claim it. A cancellation that waits takes effect.',
  })
  @ApiOkResponse({ standardSchema: writtenPrescription })
  async release(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: releaseBody }) body: z.output<typeof releaseBody>,
  ): Promise<z.output<typeof writtenPrescription>> {
    return writtenView(await this.dispensing.release(by, id, body), this.clock.now());
  }

  @Post(':id/dispenses')
  @Action('dispense.record')
  @Refuses(
    ...NOT_YOUR_CLAIM,
    'prescription.historical',
    'prescription.expired',
    'dispense.duplicate',
    'dispense.in-future',
    'dispense.before-claim',
    'dispense.too-early',
    'dispense.drug-not-allowed',
    'dispense.over-authorised',
    'quantity.invalid',
    'quantity.unit-mismatch',
  )
  @ApiOperation({ summary: 'Hand over what you have claimed, in full or in part' })
  @ApiCreatedResponse({ standardSchema: dispensed })
  async dispense(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newDispense }) body: z.output<typeof newDispense>,
  ): Promise<z.output<typeof dispensed>> {
    const recorded = await this.dispensing.dispense(by, id, withoutSignature(body));
    return { ...writtenView(recorded, this.clock.now()), dispenseId: dispenseOf(recorded) };
  }

  @Post(':id/not-dispensed')
  @HttpCode(200)
  @Action('dispense.not-dispensed')
  @Refuses(...NOT_YOUR_CLAIM)
  @ApiOperation({
    summary: 'Close what you have claimed: nothing will be handed over',
    description: 'A cancellation that waits takes effect.',
  })
  @ApiOkResponse({ standardSchema: writtenPrescription })
  async notDispensed(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: notDispensedBody }) body: z.output<typeof notDispensedBody>,
  ): Promise<z.output<typeof writtenPrescription>> {
    return writtenView(await this.dispensing.notDispensed(by, id, body), this.clock.now());
  }

  @Post(':id/dispenses/:dispenseId/reverse')
  @HttpCode(200)
  @Action('dispense.reverse')
  @Refuses(
    'ledger.chain-unknown',
    'dispense.unknown',
    'dispense.other-pharmacy',
    'dispense.already-reversed',
    'dispense.later-issue',
  )
  @ApiOperation({
    summary: "Take back a dispense of your own pharmacy's, recorded or reported",
    description: 'What a claim handed over returns to the claim.',
  })
  @ApiOkResponse({ standardSchema: reversed })
  async reverse(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Param('dispenseId', { schema: uuid }) dispenseId: string,
    @Body({ schema: reverseBody }) { reason }: z.output<typeof reverseBody>,
  ): Promise<z.output<typeof reversed>> {
    const recorded = await this.dispensing.reverse(by, id, { dispenseId, reason });
    const { prescription, ...proof } = writtenView(recorded, this.clock.now());
    const readable = may(by.actor.role, 'prescription.read', relationsTo(recorded.state, by.actor));
    return { id, dispenseId, ...(readable && { prescription }), ...proof };
  }
}

function dispenseOf({ events }: Recorded<Prescription>): string {
  const event = events.find(({ type }) => type === 'dispense.recorded/1');
  if (!event) throw new Error('a dispense was accepted and recorded none');
  return (event.data as DispenseRecorded['data']).dispenseId;
}
