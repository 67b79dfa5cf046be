import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf, slicePage } from '../http/body/paging.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action } from '../identity/guard/access.js';
import { patientId, uuid } from '../identity/people.js';
import { ERASE_REASONS, type Hold, HOLD_REASONS, HOLD_RELEASES } from './holds.js';
import type { Patient } from './state.js';
import { RetentionService } from './retention.service.js';

const newHold = z
  .strictObject({
    reason: z.enum(HOLD_REASONS),
    until: z.iso.date().nullable().default(null).describe('last day of the hold; left out: until it is released'),
    authority: z.string().trim().min(1).max(200).nullable().default(null).describe('who demands it; nothing clinical'),
  })
  .meta({
    id: 'NewHold',
    title: 'NewHold',
    example: { reason: 'litigation', until: '2045-12-31', authority: 'District court, case 24-117' },
  });
const release = z
  .strictObject({ reason: z.enum(HOLD_RELEASES) })
  .meta({ id: 'HoldRelease', title: 'HoldRelease', example: { reason: 'lifted' } });
const erasure = z
  .strictObject({
    reason: z.enum(ERASE_REASONS).describe('stays readable for everybody in the last entry of each record'),
  })
  .meta({ id: 'Erasure', title: 'Erasure', example: { reason: 'request' } });

const holdView = z
  .object({
    id: uuid,
    reason: z.enum(HOLD_REASONS),
    until: z.string().nullable().describe('last day of the hold; null: until it is released'),
    authority: z.string().nullable(),
    placedAt: z.string(),
    releasedAt: z.string().nullable(),
  })
  .meta({ id: 'Hold', title: 'Hold', description: 'Keeps the record of a patient from being erased.' });
const held = z.object({ hold: holdView, ...receipts }).meta({ id: 'WrittenHold', title: 'WrittenHold' });
const holdQuery = listQuery(numberCursor, {});
const holdPage = pageOf(holdView, 'HoldPage');
const erased = z
  .object({
    patient: uuid,
    chains: z.number().int().describe('how many records ended: each with an entry that stays in the log'),
    complete: z
      .boolean()
      .describe(
        'false: an old encryption key is left that could open a backup. Then run `rxledger keys rotate-encryption --destroy-old`',
      ),
    ...receipts,
  })
  .meta({ id: 'ErasedPatient', title: 'ErasedPatient' });

const viewOf = ({ holdId: id, ...hold }: Hold): z.output<typeof holdView> => ({ id, ...hold });

@ApiTags('patients')
@Controller('api/patients')
export class RetentionController {
  constructor(private readonly retention: RetentionService) {}

  @Post(':id/holds')
  @Action('hold.place')
  @Refuses('ledger.chain-unknown', 'hold.until-past')
  @ApiOperation({ summary: 'Keep a patient’s record from being erased' })
  @ApiCreatedResponse({ standardSchema: held })
  async place(
    @By() by: By,
    @Param('id', { schema: patientId }) id: string,
    @Body({ schema: newHold }) body: z.output<typeof newHold>,
  ): Promise<z.output<typeof held>> {
    const { state, events, receipts: all } = await this.retention.place(by, id, body);
    const placed = events[0]?.data['holdId'] as string;
    return { hold: viewOf(holdIn(state, placed)), ...receiptsOf(all) };
  }

  @Get(':id/holds')
  @Action('hold.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'List the holds on a patient’s record, released ones too' })
  @ApiOkResponse({ standardSchema: holdPage })
  async list(
    @Param('id', { schema: patientId }) id: string,
    @Query({ schema: holdQuery }) query: z.output<typeof holdQuery>,
  ): Promise<z.output<typeof holdPage>> {
    return slicePage((await this.retention.holds(id)).map(viewOf), query);
  }

  @Post(':id/holds/:hold/release')
  @HttpCode(200)
  @Action('hold.release')
  @Refuses('ledger.chain-unknown', 'hold.unknown', 'hold.already-released')
  @ApiOperation({ summary: 'Release a hold' })
  @ApiOkResponse({ standardSchema: held })
  async release(
    @By() by: By,
    @Param('id', { schema: patientId }) id: string,
    @Param('hold', { schema: uuid }) holdId: string,
    @Body({ schema: release }) { reason }: z.output<typeof release>,
  ): Promise<z.output<typeof held>> {
    const { state, receipts: all } = await this.retention.release(by, id, { holdId, reason });
    return { hold: viewOf(holdIn(state, holdId)), ...receiptsOf(all) };
  }

  @Post(':id/erase')
  @HttpCode(200)
  @Action('patient.erase')
  @Refuses('ledger.chain-unknown', 'patient.on-hold')
  @ApiOperation({
    summary: 'Erase a patient. This cannot be undone',
    description: 'Everything recorded about them goes. The entries of the log stay; they name nobody.',
  })
  @ApiOkResponse({ standardSchema: erased })
  async erase(
    @By() by: By,
    @Param('id', { schema: patientId }) id: string,
    @Body({ schema: erasure }) { reason }: z.output<typeof erasure>,
  ): Promise<z.output<typeof erased>> {
    const { receipts: all, ...done } = await this.retention.erase(by, id, reason);
    return { patient: id, ...done, ...receiptsOf(all) };
  }
}

function holdIn({ holds }: Patient, id: string): Hold {
  const hold = holds.find(({ holdId }) => holdId === id);
  if (!hold) throw new Error('a hold was accepted and is not in the state');
  return hold;
}
