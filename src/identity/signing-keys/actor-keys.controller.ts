import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { listQuery, numberCursor, pageOf, slicePage } from '../../http/body/paging.js';
import { Refuses } from '../../http/openapi/refuses.js';
import { refuseRequest } from '../../http/problem/problem.js';
import { By } from '../../http/write/by.js';
import { receipts, receiptsOf } from '../../http/write/receipt-schema.js';
import { signature } from '../../http/write/signature-schema.js';
import { Action, CurrentActor } from '../guard/access.js';
import { EXAMPLE_KEY, isPublishedKey, PUBLISHED_KEY } from '../published-keys.js';
import { uuid } from '../people.js';
import { may } from '../guard/policy.js';
import { isKeyEnrolled, isKeyRevoked, REVOCATION_REASONS } from '../../ledger/log-chain/actor-keys.js';
import { isPublicJwk, type PublicJwk } from '../../ledger/core/record/public-key.js';
import type { Actor } from '../../ledger/model.js';
import { ActorKeysService } from './actor-keys.service.js';

const coordinate = z.string().regex(/^[\w-]{43}$/, 'must be base64url of 32 bytes');
const publicJwk: z.ZodType<PublicJwk> = z
  .discriminatedUnion('kty', [
    z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
    z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  ])
  .refine(isPublicJwk, 'must be a public key of Ed25519 or P-256')
  .meta({ id: 'ActorPublicKey', title: 'ActorPublicKey', description: 'JWK (RFC 7517), its required members only.' });
const thumbprint = z
  .string()
  .regex(/^[\w-]{43}$/, 'must be the thumbprint of a key (RFC 7638): 43 characters of base64url');

const newKey = z
  .strictObject({
    jwk: publicJwk.refine((key) => !isPublishedKey(key), PUBLISHED_KEY),
    signature: signature.optional(),
  })
  .meta({
    id: 'NewActorKey',
    title: 'NewActorKey',
    example: {
      jwk: EXAMPLE_KEY,
      signature: { jws: 'paste-the-signature-of-the-statement', occurredAt: '2026-01-15T09:30:00.000Z' },
    },
  });
const revocation = z
  .strictObject({ reason: z.enum(REVOCATION_REASONS), signature: signature.optional() })
  .meta({ id: 'KeyRevocation', title: 'KeyRevocation', example: { reason: 'lost' } });
const enrolled = z
  .object({ kid: thumbprint, account: uuid, ...receipts })
  .meta({ id: 'EnrolledKey', title: 'EnrolledKey' });
const revoked = enrolled
  .extend({ by: z.enum(['self', 'administrator']) })
  .meta({ id: 'RevokedKey', title: 'RevokedKey' });
const actorKey = z
  .object({ kid: thumbprint, jwk: publicJwk.nullable().describe('null: revoked') })
  .meta({ id: 'ActorKey', title: 'ActorKey' });
const keyPage = pageOf(actorKey, 'ActorKeyPage');
const keyQuery = listQuery(numberCursor, {
  account: uuid.optional().describe('of this account, for administrators; left out: your own'),
});

/** Keys with which prescribers and pharmacists sign their events. */
@ApiTags('people')
@Controller('api/actor-keys')
export class ActorKeysController {
  constructor(private readonly keys: ActorKeysService) {}

  @Post()
  @Action('actor-key.enrol')
  @Refuses('actor-key.taken', 'actor-key.revoked', 'actor-key.too-many', 'signature.possession-missing')
  @ApiOperation({
    summary: 'Enrol a public key with which you sign what you record',
    description:
      'From then on the service takes nothing from you unsigned, until all your keys are revoked. Sent without `signature` it is refused `signature.required`, with the statement that the new key must sign. A further key is signed for with a key that you use already (`jws`) and with itself (`possession`).',
  })
  @ApiCreatedResponse({ standardSchema: enrolled })
  async enrol(
    @By() by: By,
    @Body({ schema: newKey }) { jwk }: z.output<typeof newKey>,
  ): Promise<z.output<typeof enrolled>> {
    const { events, receipts: all } = await this.keys.enrol(by, { jwk });
    const { data } = only(events.filter(isKeyEnrolled));
    return { kid: data.kid, account: data.account, ...receiptsOf(all) };
  }

  @Get()
  @Action('actor-key.read')
  @ApiOperation({ summary: 'List the keys of an account, revoked ones too' })
  @ApiOkResponse({ standardSchema: keyPage })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: keyQuery }) { account, ...page }: z.output<typeof keyQuery>,
  ): Promise<z.output<typeof keyPage>> {
    const whose = account ?? actor.id;
    if (!may(actor.role, 'actor-key.read', whose === actor.id ? ['own'] : [])) throw refuseRequest('access.forbidden');
    return slicePage(await this.keys.list(whose), page);
  }

  @Post(':kid/revoke')
  @HttpCode(200)
  @Action('actor-key.revoke')
  @Refuses('actor-key.unknown', 'actor-key.revoked')
  @ApiOperation({
    summary: 'Revoke a key for good',
    description:
      'Its owner signs the revocation, with this key or with another that is not revoked. An administrator revokes without a signature, and the log says so.',
  })
  @ApiOkResponse({ standardSchema: revoked })
  async revoke(
    @By() by: By,
    @Param('kid', { schema: thumbprint }) kid: string,
    @Body({ schema: revocation }) { reason }: z.output<typeof revocation>,
  ): Promise<z.output<typeof revoked>> {
    const { events, receipts: all } = await this.keys.revoke(by, { kid, reason });
    const { data, derived } = only(events.filter(isKeyRevoked));
    return {
      kid,
      account: data.account,
      by: derived.by === 'self' ? 'self' : 'administrator',
      ...receiptsOf(all),
    };
  }
}

function only<T>([event]: readonly T[]): T {
  if (event === undefined) throw new Error('a key was recorded without its event');
  return event;
}
