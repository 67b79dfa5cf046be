/** Who sends a write, and what the ledger has to know of the request beside what it says. */
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { Actor, CommandSignature, Idempotency } from '../../ledger/model.js';
import { parsedBody } from '../body/schema.pipe.js';
import { refuseRequest } from '../problem/problem.js';
import { withoutSignature } from './signature-schema.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls, once the guard has checked the token; null on public routes. */
    actor: Actor | null;
  }
}

/** Who writes. A service hands it on as it is. */
export interface By {
  readonly actor: Actor;
  /** What the writer needs to answer a repeat as it answered the first request; undefined without a key. */
  readonly idempotency?: Idempotency | undefined;
  /** What the actor signed it with; undefined without a signature. */
  readonly signature?: CommandSignature | undefined;
}

const VISIBLE_ASCII = /^[\x21-\x7e]{1,255}$/;

const documented = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description:
    'Makes it safe to send the request again, for 30 days. Same key and same request: same answer. Same key and another request: 422.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: VISIBLE_ASCII.source },
});

/**
 * `@By() by: By`: the sender of this request, on every route whose action is not `public`.
 * @throws {RefusalException} `request.idempotency-key-invalid`
 */
export const By = createParamDecorator(
  (_: undefined, context: ExecutionContext): By => {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (!request.actor) throw new Error('a public route asks for its actor');
    return new Sender(request.actor, idempotencyKey(request), request);
  },
  [
    (target, key) => {
      const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(target, key);
      if (key !== undefined && descriptor) documented(target, key, descriptor);
    },
  ],
);

/**
 * The caller's `Idempotency-Key`, or undefined when there is none.
 * @throws {RefusalException} `request.idempotency-key-invalid`
 */
export function idempotencyKey({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !VISIBLE_ASCII.test(key)) throw refuseRequest('request.idempotency-key-invalid');
  return key;
}

/** Nest makes all parameters at once: the body is not parsed yet while this one is made, so it is asked for later. */
class Sender implements By {
  constructor(
    readonly actor: Actor,
    private readonly key: string | undefined,
    private readonly request: FastifyRequest,
  ) {}

  get idempotency(): Idempotency | undefined {
    if (this.key === undefined) return undefined;
    const { method, route, params, body } = this.request;
    return {
      client: this.actor.id,
      key: this.key,
      request: canonicalRequest(method, route, params, parsedBody(body)),
    };
  }

  get signature(): CommandSignature | undefined {
    // Where a route's schema takes a signature, it is one of `signature-schema.ts`.
    const body: { readonly signature?: CommandSignature } | null = parsedBody(this.request.body);
    return body?.signature;
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The request as an `Idempotency-Key` remembers it: two requests are the same when these texts are.
 * @param route pattern of the route, for example `/api/prescriptions/:id/claim`
 * @param params ids of the path, in the order of the pattern; a UUID counts in either case
 * @param body what the schema parsed: members in the schema's order, defaults filled in. A signature is no part of it
 */
export function canonicalRequest(method: string, route: string, params: unknown, body: object | null): string {
  const ids = Object.values(params ?? {}).map((id) => (UUID.test(id) ? id.toLowerCase() : id));
  return JSON.stringify([`${method} ${route}`, ids, body && withoutSignature(body)]);
}
