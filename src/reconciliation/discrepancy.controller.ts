import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumberOr } from '../http/body/whole-number.js';
import { IdempotencyKey, idempotency } from '../http/write/idempotency.js';
import { answer } from '../http/problem/problem.js';
import { receipts, receiptsOf } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import type { Actor } from '../ledger/model.js';
import type { Patient } from '../patient/state.js';
import { DiscrepancyService, POSITION, viewOf } from './discrepancy.service.js';

const resolutions = ['corrected', 'accepted', 'rejected', 'entered-in-error'] as const;

const discrepancyId = z.string().regex(/^D\d\d:[\w-]{22}$/, 'must be the id of a discrepancy, as the list names it');

const discrepancy = z
  .object({
    id: discrepancyId.describe('class and a hash of the evidence'),
    patient: z
      .uuid()
      .nullable()
      .describe('the patient, or a provisional patient not matched yet; null for a pharmacy that has only reported'),
    about: z.uuid().describe('the prescription or supply'),
    class: z.enum(['D03', 'D07', 'D12', 'D13']),
    side: z.enum(['prescriber', 'pharmacy', 'both']).describe('on whose desk it is'),
    status: z.enum(['open', 'resolved']),
    openedAt: z.iso.datetime(),
    resolvedAt: z.iso.datetime().nullable(),
    resolution: z
      .enum(['gone', ...resolutions])
      .nullable()
      .describe('`gone`: the records agree again'),
    evidence: z
      .record(z.string(), z.json())
      .describe(
        'what was compared: ids of dispenses, amounts, instants; for a pharmacy that has only reported its own',
      ),
  })
  .meta({ title: 'Discrepancy' });

const listQuery = z.strictObject({
  status: z.enum(['open', 'resolved']).optional(),
  after: z
    .string()
    .regex(POSITION, 'must be `next` of the previous page')
    .optional()
    .describe('`next` of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const page = z.object({ items: z.array(discrepancy), next: z.string().nullable() });

const resolveBody = z.strictObject({
  resolution: z.enum(resolutions),
  note: z.string().max(2000).nullable().default(null),
});
const resolved = z.object({ discrepancy, ...receipts });

@ApiTags('discrepancies')
@Controller('api/discrepancies')
export class DiscrepancyController {
  constructor(private readonly discrepancies: DiscrepancyService) {}

  @Get()
  @Action('discrepancy.list')
  @ApiOperation({ summary: 'What disagrees and concerns the caller’s organisation, newest first' })
  @ApiOkResponse({ standardSchema: page })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
  ): Promise<z.output<typeof page>> {
    return this.discrepancies.list(actor, query);
  }

  @Post(':patient/:id/resolve')
  @HttpCode(200)
  @Action('discrepancy.resolve')
  @ApiOperation({ summary: 'Say what became of a discrepancy that concerns the caller’s organisation' })
  @ApiOkResponse({ standardSchema: resolved })
  async resolve(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('patient', { schema: z.uuid().toLowerCase() }) patient: string,
    @Param('id', { schema: discrepancyId }) id: string,
    @Body({ schema: resolveBody }) body: z.output<typeof resolveBody>,
  ): Promise<z.output<typeof resolved>> {
    const request = idempotency(actor, key, 'POST /api/discrepancies/{patient}/{id}/resolve', [patient, id], body);
    const outcome = answer(await this.discrepancies.resolve(actor, patient, { id, ...body }, request));
    const view = viewOf(outcome.states[0] as Patient, id, actor.org ?? '');
    if (!view) throw new Error('a discrepancy was resolved and is not there');
    return { discrepancy: view, ...receiptsOf(outcome.receipts) };
  }
}
