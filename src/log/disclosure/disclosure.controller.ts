import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumber } from '../../http/body/whole-number.js';
import { IdempotencyKey, idempotency } from '../../http/write/idempotency.js';
import { answer } from '../../http/problem/problem.js';
import { receipt, receipts, receiptsOf } from '../../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../../identity/guard/access.js';
import { uuid } from '../../identity/people.js';
import type { Actor } from '../../ledger/model.js';
import { DisclosureService } from './disclosure.service.js';

const logIndex = wholeNumber(0);

const wanted = {
  members: z
    .array(z.enum(['actor', 'data', 'derived', 'kind', 'occurredAt', 'recordedAt', 'signature', 'type']))
    .min(1)
    .max(8)
    .refine((names) => new Set(names).size === names.length, 'must name each member once')
    .describe('members of the payload, each whole'),
  reason: z.string().trim().min(1).max(1000).describe('the patient sees it'),
};

const wish = z
  .strictObject({
    ...wanted,
    recipient: z
      .string()
      .trim()
      .min(1)
      .max(300)
      .nullable()
      .default(null)
      .describe('to whom it is given, in your words; left out by auditors, who take it for themselves'),
  })
  .meta({ title: 'WantedDisclosure' });

const clearance = z
  .strictObject({
    ...wanted,
    auditor: uuid.describe('account or client id'),
    days: z.number().int().min(1).max(365).default(30),
  })
  .meta({ title: 'NewClearance' });

const base64 = z.string().describe('base64');
const disclosure = receipt
  .omit({ payload: true, salt: true, state: true })
  .extend({
    members: z
      .record(z.string(), z.union([z.object({ key: base64, value: base64 }), z.object({ digest: base64 })]))
      .readonly()
      .describe("the payload's members: those that are shown with key and canonical JSON, the others by their digest"),
  })
  .meta({
    title: 'Disclosure',
    description: 'Stands alone: to be handed over as it is and checked with `rxledger audit proof`',
  });
const disclosed = z.object({ disclosure, ...receipts });
const cleared = z.object({ until: z.iso.datetime(), ...receipts });

@ApiTags('disclosures')
@Controller('api/entries')
export class DisclosureController {
  constructor(private readonly disclosures: DisclosureService) {}

  @Post(':index/disclosures')
  @Action('payload.disclose')
  @ApiOperation({
    summary: 'Some members of an entry’s payload with what is needed to check them, and nothing of the others',
    description:
      'For who wrote the entry, their organisation and the patient whose order or supply it is about; for auditors, what they were cleared for. The patient sees that it was given, by whom and to whom.',
  })
  @ApiCreatedResponse({ standardSchema: disclosed })
  async disclose(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('index', { schema: logIndex }) index: number,
    @Body({ schema: wish }) body: z.output<typeof wish>,
  ): Promise<z.output<typeof disclosed>> {
    const request = idempotency(actor, key, 'POST /api/entries/{index}/disclosures', [String(index)], body);
    const made = await this.disclosures.disclose(actor, index, body, request);
    return { disclosure: made.disclosure, ...receiptsOf(made.receipts) };
  }

  @Post(':index/clearances')
  @Action('payload.clear')
  @ApiOperation({
    summary: 'Let an auditor take some members of an entry’s payload, for a while',
    description: 'For the same people as disclosures. The patient sees it.',
  })
  @ApiCreatedResponse({ standardSchema: cleared })
  async clear(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('index', { schema: logIndex }) index: number,
    @Body({ schema: clearance }) body: z.output<typeof clearance>,
  ): Promise<z.output<typeof cleared>> {
    const request = idempotency(actor, key, 'POST /api/entries/{index}/clearances', [String(index)], body);
    const outcome = answer(await this.disclosures.clear(actor, index, body, request));
    return { until: outcome.events[0]?.derived['until'] as string, ...receiptsOf(outcome.receipts) };
  }
}
