import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, nextAfter, pageOf } from '../../http/body/paging.js';
import { Refuses } from '../../http/openapi/refuses.js';
import { refuseRequest } from '../../http/problem/problem.js';
import { By } from '../../http/write/by.js';
import type { Actor } from '../../ledger/model.js';
import { Action, CurrentActor } from '../guard/access.js';
import { Accounts } from './accounts.js';
import { refOf } from '../once.js';
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

const directory = listQuery(organisationId, { kind: z.enum(['practice', 'pharmacy']).optional() });
const organisationPage = pageOf(organisation, 'OrganisationPage');
const self = account.extend({ organisation: organisation.nullable() }).meta({ id: 'Self', title: 'Self' });

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
    @By() by: By,
    @Body({ schema: newOrganisation }) body: z.output<typeof newOrganisation>,
  ): Promise<Organisation> {
    return present(await this.organisations.find(refOf(await this.organisations.create(body, by.idempotency))));
  }

  @Get('organisations')
  @Action('organisation.read')
  @ApiOperation({ summary: 'List practices and pharmacies' })
  @ApiOkResponse({ standardSchema: organisationPage })
  async listOrganisations(
    @Query({ schema: directory }) { kind, after, limit }: z.output<typeof directory>,
  ): Promise<z.output<typeof organisationPage>> {
    const items = await this.organisations.list(kind, after, limit);
    return { items, next: nextAfter(items, limit, ({ id }) => id) };
  }

  @Post('accounts')
  @Action('account.create')
  @Refuses(
    'identity.username-taken',
    'identity.organisation-unknown',
    'identity.organisation-kind',
    'identity.patient-unknown',
    'identity.account-unknown',
  )
  @ApiOperation({ summary: 'Make an account for a person' })
  @ApiCreatedResponse({ standardSchema: account })
  async createAccount(@By() by: By, @Body({ schema: newAccount }) body: z.output<typeof newAccount>): Promise<Account> {
    return living(await this.accounts.find(refOf(await this.accounts.create(body, by.idempotency))));
  }

  @Post('accounts/:id/disable')
  @HttpCode(200)
  @Action('account.disable')
  @Refuses('identity.own-account', 'identity.account-unknown')
  @ApiOperation({
    summary: 'End an account of a person or a machine',
    description: 'Nobody can sign in to it any more, and its tokens stop within half a minute.',
  })
  @ApiOkResponse({ standardSchema: account })
  async disableAccount(@By() by: By, @Param('id', { schema: uuid }) id: string): Promise<Account> {
    // An administrator must not disable their own account: it may be the last one.
    if (id === by.actor.id) throw refuseRequest('identity.own-account');
    const disabled = refOf(await this.accounts.disable(id, by.idempotency));
    this.tokens.forget(disabled);
    return living(await this.accounts.find(disabled));
  }

  @Get('self')
  @Action('self.read')
  @Refuses('identity.account-unknown')
  @ApiOperation({ summary: 'See who you are signed in as' })
  @ApiOkResponse({ standardSchema: self })
  async self(@CurrentActor() actor: Actor): Promise<z.output<typeof self>> {
    const found = living(await this.accounts.find(actor.id));
    return { ...found, organisation: found.org === null ? null : await this.organisations.find(found.org) };
  }
}

/** An account disappears when its patient is erased, which may happen after the token was checked. */
function living(row: Account | null): Account {
  if (row === null) throw refuseRequest('identity.account-unknown');
  return row;
}

function present<T>(row: T | null): T {
  if (row === null) throw new Error('a row that was just there is gone');
  return row;
}
