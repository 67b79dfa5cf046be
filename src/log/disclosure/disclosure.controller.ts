import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, pageOf } from '../../http/body/paging.js';
import { wholeNumber } from '../../http/body/whole-number.js';
import { DEMO_ACCOUNT_IDS } from '../../http/openapi/demo-ids.js';
import { Refuses } from '../../http/openapi/refuses.js';
import { By } from '../../http/write/by.js';
import { receipt, receipts, receiptsOf } from '../../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../../identity/guard/access.js';
import { actorShape, uuid } from '../../identity/people.js';
import type { Actor } from '../../ledger/model.js';
import { DisclosureService } from './disclosure.service.js';

const logIndex = wholeNumber(0);

const wish = z
  .strictObject({
    members: z
      .array(z.enum(['actor', 'data', 'derived', 'kind', 'occurredAt', 'recordedAt', 'signature', 'type']))
      .min(1)
      .max(8)
      .refine((names) => new Set(names).size === names.length, 'must name each member once')
      .describe('members of the payload, each whole'),
    reason: z.string().trim().min(1).max(1000).describe('the patient sees it'),
    recipient: z
      .string()
      .trim()
      .min(1)
      .max(300)
      .nullable()
      .default(null)
      .describe('to whom it is given, in your words; null when it is addressed to an auditor'),
    auditor: uuid
      .nullable()
      .default(null)
      .describe('account or client id of an auditor, who can then read it here; null when a recipient is named'),
  })
  .meta({
    id: 'WantedDisclosure',
    title: 'WantedDisclosure',
    example: { members: ['data', 'type'], reason: 'Inspection', auditor: DEMO_ACCOUNT_IDS.auditor },
  });

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
    id: 'Disclosure',
    title: 'Disclosure',
    description: 'Stands alone: to be handed over as it is and checked with `rxledger audit proof`',
  });
const disclosed = z.object({ disclosure, ...receipts }).meta({ id: 'WrittenDisclosure', title: 'WrittenDisclosure' });

const addressed = z
  .object({
    id: z.number().int().describe('log index of the event that records the disclosure'),
    at: z.iso.datetime().describe('when it was given'),
    by: actorShape.describe('who gave it'),
    index: z.number().int().describe('log index of the entry'),
    members: z.array(z.string()).readonly().describe('members of its payload that are disclosed'),
    reason: z.string(),
  })
  .meta({ id: 'AddressedDisclosure', title: 'AddressedDisclosure' });
const page = pageOf(addressed, 'DisclosurePage');
const shown = z.object({ disclosed: addressed, disclosure }).meta({ id: 'ReadDisclosure', title: 'ReadDisclosure' });
const disclosureQuery = listQuery(
  z.string().regex(/^\d{1,15}\.\d{1,15}\.\d{1,15}$/, 'must be `next` of the previous page'),
  {},
);

@ApiTags('log')
@Controller('api')
export class DisclosureController {
  constructor(private readonly disclosures: DisclosureService) {}

  @Post('entries/:index/disclosures')
  @Action('payload.disclose')
  @Refuses(
    'ledger.chain-unknown',
    'disclosure.auditor-unknown',
    'disclosure.member-unknown',
    'disclosure.no-patient',
    'disclosure.recipient-missing',
    'disclosure.signature-alone',
  )
  @ApiOperation({
    summary: 'Show parts of what an entry records to somebody, who can check them',
    description:
      'For whoever wrote the entry, their organisation, and the patient whose order or supply it is about. The patient sees that it was given, by whom and to whom. An auditor to whom it is addressed finds it at `GET /api/disclosures`.',
  })
  @ApiCreatedResponse({ standardSchema: disclosed })
  async disclose(
    @By() by: By,
    @Param('index', { schema: logIndex }) index: number,
    @Body({ schema: wish }) body: z.output<typeof wish>,
  ): Promise<z.output<typeof disclosed>> {
    const made = await this.disclosures.disclose(by.actor, index, body, by.idempotency);
    return { disclosure: made.disclosure, ...receiptsOf(made.receipts) };
  }

  @Get('disclosures')
  @Action('disclosure.read')
  @ApiOperation({ summary: 'What was disclosed to the calling auditor, newest first' })
  @ApiOkResponse({ standardSchema: page })
  list(
    @CurrentActor() actor: Actor,
    @Query({ schema: disclosureQuery }) { after, limit }: z.output<typeof disclosureQuery>,
  ): Promise<z.output<typeof page>> {
    return this.disclosures.list(actor, { limit, ...(after !== undefined && { after }) });
  }

  @Get('disclosures/:id')
  @Action('disclosure.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({
    summary: 'One disclosure to the calling auditor, with the document to check and keep',
    description: 'The patient sees that it was read.',
  })
  @ApiOkResponse({ standardSchema: shown })
  read(@CurrentActor() actor: Actor, @Param('id', { schema: logIndex }) id: number): Promise<z.output<typeof shown>> {
    return this.disclosures.read(actor, id);
  }
}
