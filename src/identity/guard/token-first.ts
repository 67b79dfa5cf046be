import { setTimeout } from 'node:timers/promises';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Config } from '../../config/config.js';
import { headerFault } from '../../http/envelope.js';
import { type RefusalException, refuseRequest } from '../../http/problem/problem.js';
import type { JsonObject } from '../../ledger/core/record/event.js';
import type { Actor } from '../../ledger/model.js';
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';
import { Tokens } from './tokens.js';

/** The most bytes of a refused request's body that are read and thrown away, so that its connection may be used again. */
const SKIPPED_BYTES = 65_536;

const MINUTE_MS = 60_000;

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
    const byAddress = fastify.createRateLimit({ max: anonymous, timeWindow: MINUTE_MS });
    const byAccount = new PerMinute(max);
    fastify.addHook('onRequest', (request, reply, done) => {
      const token = BEARER.exec(request.headers.authorization ?? '')?.[1];
      const actor = token === undefined ? null : this.tokens.verify(token);
      // Nothing to wait for: the way of nearly every request.
      const fault = request.is404 ? faultOfAddress(request, reply) : headerFault(request);
      if (actor !== null && !(actor instanceof Promise) && byAccount.admits(actor.id) && fault === null) {
        request.actor = actor;
        done();
      } else {
        // oxlint-disable-next-line promise/no-callback-in-promise -- an async hook would cost every request a promise
        this.admit(request, reply, { verified: actor, fault }, byAddress, byAccount).then(() => done(), done);
      }
    });
  }

  /** @throws {RefusalException} after a second where the request is large, or one of too many */
  private async admit(
    request: FastifyRequest,
    reply: FastifyReply,
    { verified, fault }: { verified: Actor | null | Promise<Actor | null>; fault: RequestRefusalCode | null },
    byAddress: ReturnType<FastifyInstance['createRateLimit']>,
    byAccount: PerMinute,
  ): Promise<void> {
    // A public route is there for everybody, also while nobody can say whether an account is still active.
    const actor = needsToken(request) ? await verified : await Promise.resolve(verified).catch(() => null);
    request.actor = actor;
    if (actor) {
      // An actor who was known at once is counted already: without a fault they were one too many.
      const admitted = verified instanceof Promise ? byAccount.admits(actor.id) : fault !== null;
      if (!admitted) throw await tooMany(request, reply, byAccount.remainingMs());
    } else {
      const limit = await byAddress(request);
      if (!limit.isAllowed && limit.isExceeded) throw await tooMany(request, reply, limit.ttl);
    }
    const refused = fault ?? (needsToken(request) && !actor ? 'access.unauthenticated' : null);
    if (!refused) return;
    if (isLarge(request)) await setTimeout(SLOWLY_MS);
    throw refuseUnread(request, reply, refused);
  }
}

/**
 * Counts by account in a minute of its own. `@fastify/rate-limit`, which counts addresses, takes several promises for each
 * request: a twelfth of a durable write.
 */
class PerMinute {
  private readonly counts = new Map<string, number>();
  private since = performance.now();

  constructor(private readonly max: number) {}

  admits(account: string): boolean {
    if (this.remainingMs() <= 0) {
      this.counts.clear();
      this.since = performance.now();
    }
    const count = (this.counts.get(account) ?? 0) + 1;
    this.counts.set(account, count);
    return count <= this.max;
  }

  /** @returns until counting begins anew, ms */
  remainingMs(): number {
    return this.since + MINUTE_MS - performance.now();
  }
}

async function tooMany(request: FastifyRequest, reply: FastifyReply, waitMs: number): Promise<RefusalException> {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  void reply.header('retry-after', String(retryAfterSeconds));
  await setTimeout(SLOWLY_MS);
  return refuseUnread(request, reply, 'request.rate-limited', { retryAfterSeconds });
}

/** A path that does not exist, or does not take this method, has no use for a body either. */
function faultOfAddress({ server, url }: FastifyRequest, reply: FastifyReply): RequestRefusalCode {
  const allowed = server.methods.of(url);
  if (allowed.length === 0) return 'request.not-found';
  void reply.header('allow', allowed.join(', '));
  return 'request.method-not-allowed';
}

const needsToken = ({ routeOptions }: FastifyRequest): boolean => routeOptions.config.needsToken === true;

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
