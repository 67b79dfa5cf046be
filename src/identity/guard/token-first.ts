import { setTimeout } from 'node:timers/promises';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Config } from '../../config/config.js';
import { type RefusalException, refuseRequest } from '../../http/problem/problem.js';
import type { JsonObject } from '../../ledger/core/record/event.js';
import type { Actor } from '../../ledger/model.js';
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';
import { Tokens } from './tokens.js';

/** The most bytes of a refused request's body that are read and thrown away, so that its connection may be used again. */
const SKIPPED_BYTES = 65_536;

/**
 * How long whoever sends too much waits for the refusal, ms. Meanwhile nothing is read from them. A crowd that asks again
 * after each answer costs the others nothing that way.
 */
const SLOWLY_MS = 1000;

const BEARER = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i;

/**
 * Checks the token before the body is read: nothing expensive happens for a caller who is nobody. A request without a
 * valid token counts against its address, any other against its account.
 */
@Injectable()
export class TokenFirst implements OnModuleInit {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly tokens: Tokens,
    private readonly config: Config,
  ) {}

  onModuleInit(): void {
    // A worker has no HTTP.
    const fastify = this.host.httpAdapter?.getInstance<FastifyInstance>();
    if (!fastify) return;
    const { REQUESTS_PER_MINUTE: max, ANONYMOUS_PER_MINUTE: anonymous } = this.config.env;
    const byAddress = fastify.createRateLimit({ max: anonymous, timeWindow: 60_000 });
    const byAccount = fastify.createRateLimit({
      max,
      timeWindow: 60_000,
      keyGenerator: ({ actor }: FastifyRequest) => `account ${actor?.id}`,
    });
    fastify.addHook('onRequest', async (request, reply) => {
      request.actor = await this.actorOf(request);
      const limit = await (request.actor ? byAccount : byAddress)(request);
      if (!limit.isAllowed && limit.isExceeded) {
        const retryAfterSeconds = Math.ceil(limit.ttl / 1000);
        void reply.header('retry-after', String(retryAfterSeconds));
        await setTimeout(SLOWLY_MS);
        throw refuseUnread(request, reply, 'request.rate-limited', { retryAfterSeconds });
      }
      const refused = refusalAtTheDoor(request);
      if (!refused) return;
      if (isLarge(request)) await setTimeout(SLOWLY_MS);
      throw refuseUnread(request, reply, refused);
    });
  }

  /** @returns whoever the request's token names; null without a valid one */
  private actorOf({ headers }: FastifyRequest): Actor | null | Promise<Actor | null> {
    const token = BEARER.exec(headers.authorization ?? '')?.[1];
    return token === undefined ? null : this.tokens.verify(token);
  }
}

/** A route that does not exist has no use for a body either. */
function refusalAtTheDoor({ is404, routeOptions, actor }: FastifyRequest): RequestRefusalCode | null {
  if (is404) return 'request.not-found';
  return routeOptions.config.needsToken === true && !actor ? 'access.unauthenticated' : null;
}

function isLarge({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > SKIPPED_BYTES;
}

/** The rest of a large body is not read: its connection ends with the answer. */
function refuseUnread(
  request: FastifyRequest,
  reply: FastifyReply,
  code: RequestRefusalCode,
  facts: JsonObject = {},
): RefusalException {
  if (isLarge(request)) void reply.header('connection', 'close');
  return refuseRequest(code, facts);
}
