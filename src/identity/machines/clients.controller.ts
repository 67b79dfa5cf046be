import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, nextAfter, pageOf } from '../../http/body/paging.js';
import { Refuses } from '../../http/openapi/refuses.js';
import { refuseRequest } from '../../http/problem/problem.js';
import { By } from '../../http/write/by.js';
import { Action } from '../guard/access.js';
import { type NewJwks, newJwks } from './client-keys.js';
import { type Client, client, Clients, type NewClient, newClient } from './clients.js';
import { refOf } from '../once.js';
import { uuid } from '../people.js';

const directory = listQuery(uuid, {});
const clientPage = pageOf(client, 'ClientPage');

/** Machines. A client is disabled like every account, by `POST /api/accounts/{id}/disable`. */
@ApiTags('people')
@Controller('api/clients')
export class ClientsController {
  constructor(private readonly clients: Clients) {}

  @Post()
  @Action('client.create')
  @Refuses('identity.organisation-unknown', 'identity.organisation-kind', 'identity.client-unknown')
  @ApiOperation({
    summary: 'Register a machine by its public keys',
    description:
      'Its id is the client id with which it signs in at `/api/auth/token`. `/api/accounts/{id}/disable` ends it.',
  })
  @ApiCreatedResponse({ standardSchema: client })
  async create(@By() by: By, @Body({ schema: newClient }) body: NewClient): Promise<Client> {
    return this.find(refOf(await this.clients.create(body, by.idempotency)));
  }

  @Get()
  @Action('client.create')
  @ApiOperation({ summary: 'List the registered machines, disabled ones too' })
  @ApiOkResponse({ standardSchema: clientPage })
  async list(
    @Query({ schema: directory }) { after, limit }: z.output<typeof directory>,
  ): Promise<z.output<typeof clientPage>> {
    const items = await this.clients.list(after, limit);
    return { items, next: nextAfter(items, limit, ({ id }) => id) };
  }

  @Post(':id/keys')
  @HttpCode(200)
  @Action('client.create')
  @Refuses('identity.client-unknown')
  @ApiOperation({
    summary: 'Replace all public keys of a machine',
    description:
      'Nobody can sign in with the previous keys any more. Tokens that they obtained end after 15 minutes; to end them at once, disable the machine.',
  })
  @ApiOkResponse({ standardSchema: client })
  async replaceKeys(
    @By() by: By,
    @Param('id', { schema: uuid }) id: string,
    @Body({ schema: newJwks }) body: NewJwks,
  ): Promise<Client> {
    return this.find(refOf(await this.clients.replaceKeys(id, body, by.idempotency)));
  }

  private async find(id: string): Promise<Client> {
    const found = await this.clients.find(id);
    if (found === null) throw refuseRequest('identity.client-unknown');
    return found;
  }
}
