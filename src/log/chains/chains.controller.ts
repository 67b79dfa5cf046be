import { Controller, Get, Param } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Refuses } from '../../http/openapi/refuses.js';
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
    id: 'ChainHead',
    title: 'ChainHead',
    description:
      'The last entry of a record. Compare it with your receipts: it shows whether an entry is kept from you.',
  });

const verifierKey = z
  .object({ vkey: z.string().describe('C2SP signed-note verifier key') })
  .meta({ id: 'VerifierKey', title: 'VerifierKey' });

@ApiTags('log')
@Controller('api/chains')
export class ChainsController {
  constructor(private readonly chains: ChainsService) {}

  @Get('vkey')
  @Action('chain.head')
  @ApiOperation({
    summary: 'Get the key that checks chain heads',
    description: 'Keep it when you get it first; do not ask for it with each head.',
  })
  @ApiOkResponse({ standardSchema: verifierKey })
  vkey(): { vkey: string } {
    return { vkey: this.chains.vkey };
  }

  @Get(':id/head')
  @Action('chain.head')
  @Refuses('ledger.chain-unknown')
  @ApiOperation({ summary: 'Get the last entry of a record, signed: is an entry kept from me?' })
  @ApiOkResponse({ standardSchema: chainHead })
  async head(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: chainId }) id: string,
  ): Promise<z.output<typeof chainHead>> {
    const { leaf, ...head } = await this.chains.head(actor, id);
    return { ...head, leaf: Buffer.from(leaf).toString('base64') };
  }
}
