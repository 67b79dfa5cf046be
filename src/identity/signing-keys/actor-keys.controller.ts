import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { IdempotencyKey, idempotency } from '../../http/write/idempotency.js';
import { answer, refuseRequest } from '../../http/problem/problem.js';
import { receipts, receiptsOf } from '../../http/write/receipt-schema.js';
import { signature } from '../../http/write/signature-schema.js';
import { Action, CurrentActor } from '../guard/access.js';
import { uuid } from '../people.js';
import { may } from '../guard/policy.js';
import { type KeyEnrolled, type KeyRevoked, REVOCATION_REASONS } from '../../ledger/log-chain/actor-keys.js';
import { isPublicJwk, type PublicJwk } from '../../ledger/core/record/public-key.js';
import type { Actor } from '../../ledger/model.js';
import { ActorKeysService, type KeyView } from './actor-keys.service.js';

const coordinate = z.string().regex(/^[\w-]{43}$/, 'must be base64url of 32 bytes');
const publicJwk: z.ZodType<PublicJwk> = z
  .discriminatedUnion('kty', [
    z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
    z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  ])
  .refine(isPublicJwk, 'must be a public key of Ed25519 or P-256')
  .meta({ title: 'ActorPublicKey', description: 'JWK (RFC 7517), its required members alone' });
const thumbprint = z
  .string()
  .regex(/^[\w-]{43}$/, 'must be the thumbprint of a key (RFC 7638): 43 characters of base64url');

const newKey = z.strictObject({ jwk: publicJwk, signature: signature.optional() }).meta({ title: 'NewActorKey' });
const revocation = z.strictObject({ reason: z.enum(REVOCATION_REASONS), signature: signature.optional() });
const enrolled = z.object({ kid: thumbprint, account: uuid, ...receipts });
const revoked = z.object({ kid: thumbprint, account: uuid, by: z.enum(['self', 'administrator']), ...receipts });
const keyPage = z.object({
  items: z.array(z.object({ kid: thumbprint, jwk: publicJwk.nullable().describe('null: revoked') })),
});
const listQuery = z.strictObject({ account: uuid.optional().describe('for administrators; absent: the own') });

/** Keys with which prescribers and pharmacists sign what they record. */
@ApiTags('people')
@Controller('api/actor-keys')
export class ActorKeysController {
  constructor(private readonly keys: ActorKeysService) {}

  @Post()
  @Action('actor-key.enrol')
  @ApiOperation({
    summary: 'Enrol a public key: from the first on, everything that must be signed is signed, until all are revoked',
    description:
      'Without `signature` it is refused `signature.required` with the statement that the new key signs as proof of possession. A further key is signed for with a key in force (`jws`) and by itself (`possession`).',
  })
  @ApiCreatedResponse({ standardSchema: enrolled })
  async enrol(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Body({ schema: newKey }) body: z.output<typeof newKey>,
  ): Promise<z.output<typeof enrolled>> {
    const request = idempotency(actor, key, 'POST /api/actor-keys', [], body);
    const outcome = answer(await this.keys.enrol(actor, body, request, body.signature));
    const { data } = outcome.events[0] as unknown as KeyEnrolled;
    return { kid: data.kid, account: data.account, ...receiptsOf(outcome.receipts) };
  }

  @Get()
  @Action('actor-key.read')
  @ApiOperation({ summary: 'The keys that an account has enrolled, revoked ones too' })
  @ApiOkResponse({ standardSchema: keyPage })
  async list(
    @CurrentActor() actor: Actor,
    @Query({ schema: listQuery }) { account }: z.output<typeof listQuery>,
  ): Promise<{ items: KeyView[] }> {
    const whose = account ?? actor.id;
    if (!may(actor.role, 'actor-key.read', whose === actor.id ? ['own'] : [])) throw refuseRequest('access.forbidden');
    return { items: await this.keys.list(whose) };
  }

  @Post(':kid/revoke')
  @HttpCode(200)
  @Action('actor-key.revoke')
  @ApiOperation({
    summary: 'Revoke a key: it signs nothing more, and is never enrolled again',
    description:
      'By its owner, signed with a key in force, this one or another; by an administrator without, which the log chain says.',
  })
  @ApiOkResponse({ standardSchema: revoked })
  async revoke(
    @CurrentActor() actor: Actor,
    @IdempotencyKey() key: string | undefined,
    @Param('kid', { schema: thumbprint }) kid: string,
    @Body({ schema: revocation }) body: z.output<typeof revocation>,
  ): Promise<z.output<typeof revoked>> {
    const request = idempotency(actor, key, 'POST /api/actor-keys/{kid}/revoke', [kid], body);
    const outcome = answer(await this.keys.revoke(actor, { kid, reason: body.reason }, request, body.signature));
    const { data, derived } = outcome.events[0] as unknown as KeyRevoked;
    return {
      kid,
      account: data.account,
      by: derived.by === 'self' ? 'self' : 'administrator',
      ...receiptsOf(outcome.receipts),
    };
  }
}
