import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { wholeNumber } from '../http/body/whole-number.js';
import { Refuses } from '../http/openapi/refuses.js';
import { type AnsweredReceipt, receipt } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import type { Actor } from '../ledger/model.js';
import { ReceiptsService } from './receipts.service.js';

@ApiTags('log')
@Controller('api/receipts')
export class ReceiptsController {
  constructor(private readonly receipts: ReceiptsService) {}

  @Get(':index')
  @Action('receipt.read')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({
    summary: 'Get the receipt of an entry again',
    description:
      'Against the newest witnessed checkpoint; until one covers the entry, against the newest checkpoint of the log. Whoever wrote the entry gets it with payload and salt, and so does the patient whose prescription or supply it is about.',
  })
  @ApiOkResponse({ standardSchema: receipt })
  read(
    @CurrentActor() actor: Actor,
    @Param('index', { schema: wholeNumber(0) }) index: number,
  ): Promise<AnsweredReceipt> {
    return this.receipts.read(actor, index);
  }
}
