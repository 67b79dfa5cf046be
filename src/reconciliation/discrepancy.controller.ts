import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, pageOf } from '../http/body/paging.js';
import { Refuses } from '../http/openapi/refuses.js';
import { By } from '../http/write/by.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import type { Actor } from '../ledger/model.js';
import { DiscrepancyService, POSITION, viewOf } from './discrepancy.service.js';

const resolutions = ['corrected', 'accepted', 'rejected', 'entered-in-error'] as const;

const discrepancyId = z.string().regex(/^D\d\d:[\w-]{22}$/, 'must be the id of a discrepancy, as the list names it');

const discrepancy = z
  .object({
    id: discrepancyId.describe('class and a hash of the evidence: the same disagreement has the same id'),
    patient: z
      .uuid()
      .nullable()
      .describe('the patient; provisional while it is not known who they are; null for a pharmacy that only reported'),
    about: z.uuid().describe('the prescription or supply'),
    class: z
      .enum(['D03', 'D07', 'D12', 'D13'])
      .describe('D03 dispensed after cancel, D07 over-dispense, D12 dispense without a prescription, D13 early refill'),
    side: z.enum(['prescriber', 'pharmacy', 'both']).describe('who has to act'),
    status: z.enum(['open', 'resolved']),
    openedAt: z.iso.datetime(),
    resolvedAt: z.iso.datetime().nullable(),
    resolution: z
      .enum(['gone', ...resolutions])
      .nullable()
      .describe('`gone`: the records agree again by themselves'),
    evidence: z
      .record(z.string(), z.unknown())
      .describe(
        'what was compared: ids of dispenses, amounts, instants; for a pharmacy that has only reported its own',
      ),
  })
  .meta({
    id: 'Discrepancy',
    title: 'Discrepancy',
    description: 'Something about which the records of practice, pharmacy and patient disagree.',
  });

const discrepancyQuery = listQuery(z.string().regex(POSITION, 'must be `next` of the previous page'), {
  status: z.enum(['open', 'resolved']).optional(),
});
const page = pageOf(discrepancy, 'DiscrepancyPage');

const resolveBody = z
  .strictObject({
    resolution: z.enum(resolutions),
    note: z.string().max(2000).nullable().default(null),
  })
  .meta({
    id: 'Resolution',
    title: 'Resolution',
    example: { resolution: 'corrected', note: 'The second report was the same hand-over' },
  });
const resolved = z
  .object({ discrepancy, ...receipts })
  .meta({ id: 'ResolvedDiscrepancy', title: 'ResolvedDiscrepancy' });

@ApiTags('discrepancies')
@Controller('api/discrepancies')
export class DiscrepancyController {
  constructor(private readonly discrepancies: DiscrepancyService) {}

  @Get()
  @Action('discrepancy.list')
  @ApiOperation({ summary: 'List the discrepancies that concern your organisation, newest first' })
  @ApiOkResponse({ standardSchema: page })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: discrepancyQuery }) query: z.output<typeof discrepancyQuery>,
  ): Promise<z.output<typeof page>> {
    return this.discrepancies.list(actor, query);
  }

  @Post(':patient/:id/resolve')
  @HttpCode(200)
  @Action('discrepancy.resolve')
  @Refuses('discrepancy.unknown', 'discrepancy.already-resolved')
  @ApiOperation({ summary: 'Say what became of a discrepancy' })
  @ApiOkResponse({ standardSchema: resolved })
  async resolve(
    @By() by: By,
    @Param('patient', { schema: z.uuid().toLowerCase() }) patient: string,
    @Param('id', { schema: discrepancyId }) id: string,
    @Body({ schema: resolveBody }) body: z.output<typeof resolveBody>,
  ): Promise<z.output<typeof resolved>> {
    const { state, receipts: all } = await this.discrepancies.resolve(by, patient, { id, ...body });
    const view = viewOf(state, id, by.actor.org ?? '');
    if (!view) throw new Error('a discrepancy was resolved and is not there');
    return { discrepancy: view, ...receiptsOf(all) };
  }
}
