import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { wholeNumberOr } from '../../http/body/whole-number.js';
import { IdempotencyKey, idempotency } from '../../http/write/idempotency.js';
import { RefusalException, refuseRequest } from '../../http/problem/problem.js';
import type { Actor } from '../../ledger/model.js';
import { Action, CurrentActor } from '../guard/access.js';
import { Accounts } from './accounts.js';
import type { Made } from '../once.js';
import { Organisations } from '../organisations.js';
import {
  type Account,
  account,
  newAccount,
  newOrganisation,
  type Organisation,
  organisation,
  organisationId,
  uuid,
} from '../people.js';
import { Tokens } from '../guard/tokens.js';

const directory = z.strictObject({
  kind: z.enum(['practice', 'pharmacy']).optional(),
  after: organisationId.optional().describe('the last id of the page before'),
  limit: wholeNumberOr(50, 1, 200),
});
const organisationPage = z.object({ items: z.array(organisation), next: organisationId.nullable() });
const self = account.extend({ organisation: organisation.nullable() });

@ApiTags('people')
@Controller('api')
export class AccountsController {
  constructor(
    private readonly accounts: Accounts,
    private readonly organisations: Organisations,
    private readonly tokens: Tokens,
  ) {}

  @Post('organisations')
  @Action('organisation.create')
  @ApiOperation({ summary: 'Enrol a practice or a pharmacy' })
  @ApiCreatedResponse({ standardSchema: organisation })
  async createOrganisation(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newOrganisation }) body: z.output<typeof newOrganisation>,
  ): Promise<Organisation> {
    const request = idempotency(actor, key, 'POST /api/organisations', [], body);
    return present(await this.organisations.find(made(await this.organisations.create(body, request))));
  }

  @Get('organisations')
  @Action('organisation.read')
  @ApiOperation({ summary: 'The directory of practices and pharmacies' })
  @ApiOkResponse({ standardSchema: organisationPage })
  async listOrganisations(
    @Query({ schema: directory }) { kind, after, limit }: z.output<typeof directory>,
  ): Promise<z.output<typeof organisationPage>> {
    const items = await this.organisations.list(kind, after, limit);
    return { items, next: items.length === limit ? (items.at(-1)?.id ?? null) : null };
  }

  @Post('accounts')
  @Action('account.create')
  @ApiOperation({ summary: 'Make an account for a person' })
  @ApiCreatedResponse({ standardSchema: account })
  async createAccount(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newAccount }) body: z.output<typeof newAccount>,
  ): Promise<Account> {
    const request = idempotency(actor, key, 'POST /api/accounts', [], body);
    return living(await this.accounts.find(made(await this.accounts.create(body, request))));
  }

  @Post('accounts/:id/disable')
  @HttpCode(200)
  @Action('account.disable')
  @ApiOperation({ summary: 'End an account; its tokens stop within half a minute' })
  @ApiOkResponse({ standardSchema: account })
  async disableAccount(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('id', { schema: uuid }) id: string,
  ): Promise<Account> {
    // An administrator who ends their own account may be the last one.
    if (id === actor.id) throw refuseRequest('identity.own-account');
    const request = idempotency(actor, key, 'POST /api/accounts/{id}/disable', [id], null);
    const disabled = made(await this.accounts.disable(id, request));
    this.tokens.forget(disabled);
    return living(await this.accounts.find(disabled));
  }

  @Get('self')
  @Action('self.read')
  @ApiOperation({ summary: 'Who the token stands for' })
  @ApiOkResponse({ standardSchema: self })
  async self(@CurrentActor() actor: Actor): Promise<z.output<typeof self>> {
    const found = living(await this.accounts.find(actor.id));
    return { ...found, organisation: found.org === null ? null : await this.organisations.find(found.org) };
  }
}

function made(result: Made): string {
  if ('refusal' in result) throw new RefusalException(result.refusal);
  return result.ref;
}

/** An account is gone once its patient was erased, perhaps since the token was checked. */
function living(row: Account | null): Account {
  if (row === null) throw refuseRequest('identity.account-unknown');
  return row;
}

function present<T>(row: T | null): T {
  if (row === null) throw new Error('a row that was just there is gone');
  return row;
}
