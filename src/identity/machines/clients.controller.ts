import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumberOr } from '../../http/body/whole-number.js';
import { IdempotencyKey, idempotency } from '../../http/write/idempotency.js';
import { RefusalException, refuseRequest } from '../../http/problem/problem.js';
import type { Actor } from '../../ledger/model.js';
import { Action, CurrentActor } from '../guard/access.js';
import { type NewJwks, newJwks } from './client-keys.js';
import { type Client, client, Clients, type NewClient, newClient } from './clients.js';
import type { Made } from '../once.js';
import { uuid } from '../people.js';

const directory = z.strictObject({
  after: uuid.optional().describe('the last id of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const clientPage = z.object({ items: z.array(client), next: uuid.nullable() });

/** Machines. A client is ended like every account, by `POST /api/accounts/{id}/disable`. */
@ApiTags('people')
@Controller('api/clients')
export class ClientsController {
  constructor(private readonly clients: Clients) {}

  @Post()
  @Action('client.create')
  @ApiOperation({
    summary: 'Register a machine by its public keys',
    description:
      'Its id is its client id at /api/auth/token. It is an account: /api/accounts/{id}/disable ends it, its tokens within half a minute.',
  })
  @ApiCreatedResponse({ standardSchema: client })
  async create(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newClient }) body: NewClient,
  ): Promise<Client> {
    const request = idempotency(actor, key, 'POST /api/clients', [], body);
    return this.made(await this.clients.create(body, request));
  }

  @Get()
  @Action('client.create')
  @ApiOperation({ summary: 'The machines that are registered, disabled ones too' })
  @ApiOkResponse({ standardSchema: clientPage })
  async list(
    @Query({ schema: directory }) { after, limit }: z.output<typeof directory>,
  ): Promise<z.output<typeof clientPage>> {
    const items = await this.clients.list(after, limit);
    return { items, next: items.length === limit ? (items.at(-1)?.id ?? null) : null };
  }

  @Post(':id/keys')
  @HttpCode(200)
  @Action('client.create')
  @ApiOperation({
    summary: 'Replace all public keys of a machine',
    description:
      'The keys before sign in no more. Tokens that they were given run out (15 minutes): to end these too, disable the client.',
  })
  @ApiOkResponse({ standardSchema: client })
  async replaceKeys(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newJwks }) body: NewJwks,
  ): Promise<Client> {
    const request = idempotency(actor, key, 'POST /api/clients/{id}/keys', [id], body);
    return this.made(await this.clients.replaceKeys(id, body, request));
  }

  private async made(result: Made): Promise<Client> {
    if ('refusal' in result) throw new RefusalException(result.refusal);
    const found = await this.clients.find(result.ref);
    if (found === null) throw refuseRequest('identity.client-unknown');
    return found;
  }
}
