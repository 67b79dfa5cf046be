import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumberOr } from '../../http/body/whole-number.js';
import { Action, CurrentActor } from '../../identity/guard/access.js';
import { BEFORE_ALL, LAST_OF_ALL } from '../../ledger/core/statements/chain-list-note.js';
import type { ChainPosition } from '../../ledger/core/statements/chain-head-note.js';
import type { Actor } from '../../ledger/model.js';
import { ChainsService } from './chains.service.js';

/** Chains of one signed list: about 450 kB of note. */
const MOST_CHAINS = 5000;

const chainId = z.guid().toLowerCase();
const position = z.object({
  chain: chainId,
  seq: z.number().int().describe('position of its last entry, from 0'),
  leaf: z.string().describe('leaf hash of that entry, base64'),
});
const logState = {
  size: z.number().int().describe('number of entries of the log when this was so'),
  checkpoint: z.string().describe("the log's signed checkpoint of that size"),
};

const chainHead = z
  .object({
    ...position.shape,
    ...logState,
    note: z.string().describe('signed note of `rxledger/chain-head/v1`: what `rxledger proof verify` checks'),
  })
  .meta({ title: 'ChainHead', description: 'Where a chain stands. Shows withheld entries to who holds receipts.' });

const chainList = z
  .object({
    owner: z.string().describe("whose chains: a patient's or an organisation's id"),
    ...logState,
    chains: z.array(position).readonly(),
    note: z
      .string()
      .describe('signed note of `rxledger/chain-list/v1`, complete for the range of chain ids that it names'),
    next: z
      .string()
      .nullable()
      .describe('`after` of the next page; null: the range of this page ends with the last id'),
  })
  .meta({ title: 'ChainList' });

const listQuery = z.strictObject({
  after: chainId
    .refine((id) => id < LAST_OF_ALL, 'nothing comes after the last of all ids')
    .default(BEFORE_ALL)
    .describe('`next` of the page before'),
  limit: wholeNumberOr(1000, 1, MOST_CHAINS),
});

@ApiTags('chains')
@Controller('api/chains')
export class ChainsController {
  constructor(private readonly chains: ChainsService) {}

  @Get()
  @Action('chain.list')
  @ApiOperation({ summary: "The caller's chains with their heads, signed, in the order of their ids" })
  @ApiOkResponse({ standardSchema: chainList })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: listQuery }) { after, limit }: z.output<typeof listQuery>,
  ): Promise<z.output<typeof chainList>> {
    const { chains, ...list } = await this.chains.list(actor, after, limit);
    return { ...list, chains: chains.map(inBase64) };
  }

  @Get('vkey')
  @Action('chain.head')
  @ApiOperation({ summary: 'The verifier key of chain heads and lists: to be pinned once, not asked for with each' })
  @ApiOkResponse({ standardSchema: z.object({ vkey: z.string() }) })
  vkey(): { vkey: string } {
    return { vkey: this.chains.vkey };
  }

  @Get(':id/head')
  @Action('chain.head')
  @ApiOperation({ summary: 'Where a chain stands, signed' })
  @ApiOkResponse({ standardSchema: chainHead })
  async head(
    @CurrentActor() actor: Actor,
    @Param('id', { schema: chainId }) id: string,
  ): Promise<z.output<typeof chainHead>> {
    const { size, checkpoint, note, ...head } = await this.chains.head(actor, id);
    return { ...inBase64(head), size, checkpoint, note };
  }
}

function inBase64({ chain, seq, leaf }: ChainPosition): z.output<typeof position> {
  return { chain, seq, leaf: Buffer.from(leaf).toString('base64') };
}
