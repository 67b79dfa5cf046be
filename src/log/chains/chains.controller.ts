import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Action, CurrentActor } from '../../identity/guard/access.js';
import type { Actor } from '../../ledger/model.js';
import { ChainsService } from './chains.service.js';

const chainId = z.guid().toLowerCase();
const chainHead = z
  .object({
    chain: chainId,
    seq: z.number().int().describe('position of its last entry, from 0'),
    leaf: z.string().describe('leaf hash of that entry, base64'),
    size: z.number().int().describe('number of entries of the log at that moment'),
    checkpoint: z.string().describe("the log's signed checkpoint of that size"),
    note: z.string().describe('signed note of `rxledger/chain-head/v1`: what `rxledger audit proof` checks'),
  })
  .meta({
    title: 'ChainHead',
    description:
      'The last entry of a chain. Compare it with your receipts: it shows whether an entry is kept from you.',
  });

@ApiTags('chains')
@Controller('api/chains')
export class ChainsController {
  constructor(private readonly chains: ChainsService) {}

  @Get('vkey')
  @Action('chain.head')
  @ApiOperation({ summary: 'The verifier key of chain heads. Pin it once; do not ask for it with each head' })
  @ApiOkResponse({ standardSchema: z.object({ vkey: z.string() }) })
  vkey(): { vkey: string } {
    return { vkey: this.chains.vkey };
  }

  @Get(':id/head')
  @Action('chain.head')
  @ApiOperation({ summary: 'The last entry of a chain, signed' })
  @ApiOkResponse({ standardSchema: chainHead })
  async head(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: chainId }) id: string,
  ): Promise<z.output<typeof chainHead>> {
    const { leaf, ...head } = await this.chains.head(actor, id);
    return { ...head, leaf: Buffer.from(leaf).toString('base64') };
  }
}
