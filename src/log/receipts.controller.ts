import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { wholeNumber } from '../http/body/whole-number.js';
import { type AnsweredReceipt, receipt } from '../http/write/receipt-schema.js';
import { Action, CurrentActor } from '../identity/guard/access.js';
import type { Actor } from '../ledger/model.js';
import { ReceiptsService } from './receipts.service.js';

@ApiTags('chains')
@Controller('api/receipts')
export class ReceiptsController {
  constructor(private readonly receipts: ReceiptsService) {}

  @Get(':index')
  @Action('receipt.read')
  @ApiOperation({
    summary:
      'The receipt of an entry by its log index, against the newest witnessed checkpoint as soon as it covers it',
    description:
      'Until then against the newest checkpoint of the log, `committed`. With payload and salt for whoever wrote the entry and for the patient whose order or supply it is about.',
  })
  @ApiOkResponse({ standardSchema: receipt })
  read(
    @CurrentActor() actor: Actor,
    @Param('index', { schema: wholeNumber(0) }) index: number,
  ): Promise<AnsweredReceipt> {
    return this.receipts.read(actor, index);
  }
}
