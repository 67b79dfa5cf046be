import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumber } from '../../http/body/whole-number.js';
import { DEMO_ACCOUNT_IDS } from '../../http/openapi/demo-ids.js';
import { Refuses } from '../../http/openapi/refuses.js';
import { By } from '../../http/write/by.js';
import { answer } from '../../http/problem/problem.js';
import { receipt, receipts, receiptsOf } from '../../http/write/receipt-schema.js';
import { Action } from '../../identity/guard/access.js';
import { uuid } from '../../identity/people.js';
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
  .meta({
    id: 'WantedDisclosure',
    title: 'WantedDisclosure',
    example: { members: ['data', 'type'], reason: 'Insurance claim', recipient: 'Example Health Plan' },
  });

const clearance = z
  .strictObject({
    ...wanted,
    auditor: uuid.describe('account or client id'),
    days: z.number().int().min(1).max(365).default(30),
  })
  .meta({
    id: 'NewClearance',
    title: 'NewClearance',
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
const cleared = z
  .object({ until: z.iso.datetime(), ...receipts })
  .meta({ id: 'WrittenClearance', title: 'WrittenClearance' });

/** Why members of an entry are not shown. */
const NOT_SHOWN = [
  'ledger.chain-unknown',
  'disclosure.member-unknown',
  'disclosure.no-patient',
  'disclosure.signature-alone',
] as const;

@ApiTags('log')
@Controller('api/entries')
export class DisclosureController {
  constructor(private readonly disclosures: DisclosureService) {}

  @Post(':index/disclosures')
  @Action('payload.disclose')
  @Refuses(...NOT_SHOWN, 'disclosure.recipient-missing', 'disclosure.not-cleared')
  @ApiOperation({
    summary: 'Show parts of what an entry records to somebody, who can check them',
    description:
      'For who wrote the entry, their organisation and the patient whose order or supply it is about; for auditors, what they were cleared for. The patient sees that it was given, by whom and to whom.',
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

  @Post(':index/clearances')
  @Action('payload.clear')
  @Refuses(...NOT_SHOWN, 'disclosure.auditor-unknown')
  @ApiOperation({
    summary: 'Let an auditor take some members of an entry’s payload, for a while',
    description: 'For the same people as disclosures. The patient sees it.',
  })
  @ApiCreatedResponse({ standardSchema: cleared })
  async clear(
    @By() by: By,
    @Param('index', { schema: logIndex }) index: number,
    @Body({ schema: clearance }) body: z.output<typeof clearance>,
  ): Promise<z.output<typeof cleared>> {
    const outcome = answer(await this.disclosures.clear(by.actor, index, body, by.idempotency));
    return { until: outcome.events[0]?.derived['until'] as string, ...receiptsOf(outcome.receipts) };
  }
}
