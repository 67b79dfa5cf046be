import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import { uuid } from '../identity/people.js';
import type { Actor } from '../ledger/model.js';
import { ERASE_REASONS, type Hold, HOLD_REASONS, HOLD_RELEASES } from './holds.js';
import type { Patient } from './state.js';
import { RetentionService } from './retention.service.js';

const newHold = z
  .strictObject({
    reason: z.enum(HOLD_REASONS),
    until: z.iso.date().nullable().default(null).describe('last day on which it is in force; null: until released'),
    authority: z.string().trim().min(1).max(200).nullable().default(null).describe('who demands it; nothing clinical'),
  })
  .meta({ title: 'NewHold' });
const release = z.strictObject({ reason: z.enum(HOLD_RELEASES) });
const erasure = z.strictObject({
  reason: z.enum(ERASE_REASONS).describe('stands in the clear in the last event of each record'),
});

const holdView = z
  .object({
    id: uuid,
    reason: z.enum(HOLD_REASONS),
    until: z.string().nullable(),
    authority: z.string().nullable(),
    placedAt: z.string(),
    releasedAt: z.string().nullable(),
  })
  .meta({ title: 'Hold' });
const held = z.object({ hold: holdView, ...receipts });
const erased = z.object({
  patient: uuid,
  chains: z.number().int().describe('records that were ended, each with an event that stays in the log'),
  complete: z
    .boolean()
    .describe(
      'false while a key-encryption key is left with which a backup could be opened: `rxledger keys rotate-encryption --destroy-old` completes it',
    ),
  ...receipts,
});

const viewOf = ({ holdId: id, ...hold }: Hold): z.output<typeof holdView> => ({ id, ...hold });

@ApiTags('patients')
@Controller('api/patients')
export class RetentionController {
  constructor(private readonly retention: RetentionService) {}

  @Post(':id/holds')
  @Action('hold.place')
  @ApiOperation({ summary: 'Keep a patient’s record from being erased' })
  @ApiCreatedResponse({ standardSchema: held })
  async place(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newHold }) body: z.output<typeof newHold>,
  ): Promise<z.output<typeof held>> {
    const request = idempotency(actor, key, 'POST /api/patients/{id}/holds', [id], body);
    const { events, states, receipts: all } = answer(await this.retention.place(actor, id, body, request));
    const placed = events[0]?.data['holdId'] as string;
    return { hold: viewOf(holdIn(states[0] as Patient, placed)), ...receiptsOf(all) };
  }

  @Get(':id/holds')
  @Action('hold.read')
  @ApiOperation({ summary: 'The holds on a patient’s record, those that are over among them' })
  @ApiOkResponse({ standardSchema: z.object({ items: z.array(holdView) }) })
  async list(@Param('id', { schema: uuid }) id: string): Promise<{ items: z.output<typeof holdView>[] }> {
    return { items: (await this.retention.holds(id)).map(viewOf) };
  }

  @Post(':id/holds/:hold/release')
  @HttpCode(200)
  @Action('hold.release')
  @ApiOperation({ summary: 'End a hold' })
  @ApiOkResponse({ standardSchema: held })
  async release(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Param('hold', { schema: uuid }) holdId: string,
    @Body({ schema: release }) { reason }: z.output<typeof release>,
  ): Promise<z.output<typeof held>> {
    const request = idempotency(actor, key, 'POST /api/patients/{id}/holds/{hold}/release', [id, holdId], { reason });
    const outcome = answer(await this.retention.release(actor, id, { holdId, reason }, request));
    return { hold: viewOf(holdIn(outcome.states[0] as Patient, holdId)), ...receiptsOf(outcome.receipts) };
  }

  @Post(':id/erase')
  @HttpCode(200)
  @Action('patient.erase')
  @ApiOperation({
    summary: 'Erase a patient: everything said of them goes, the log’s entries stay. It is not taken back',
  })
  @ApiOkResponse({ standardSchema: erased })
  async erase(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: erasure }) { reason }: z.output<typeof erasure>,
  ): Promise<z.output<typeof erased>> {
    const request = idempotency(actor, key, 'POST /api/patients/{id}/erase', [id], { reason });
    const { receipts: all, ...done } = await this.retention.erase(actor, id, reason, request);
    return { patient: id, ...done, ...receiptsOf(all) };
  }
}

function holdIn({ holds }: Patient, id: string): Hold {
  const hold = holds.find(({ holdId }) => holdId === id);
  if (!hold) throw new Error('a hold was accepted and is not in the state');
  return hold;
}
