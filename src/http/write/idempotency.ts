import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { Actor, Idempotency } from '../../ledger/model.js';
import { refuseRequest } from '../problem/problem.js';
import { withoutSignature } from './signature-schema.js';

const VISIBLE_ASCII = /^[\x21-\x7e]{1,255}$/;

const documented = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Same key and request: same answer. Another request under the same key: 422.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: VISIBLE_ASCII.source },
});

/**
 * The caller's `Idempotency-Key`, or undefined when there is none.
 * @throws {RefusalException} `request.idempotency-key-invalid`
 */
export const IdempotencyKey = createParamDecorator(
  (_: undefined, context: ExecutionContext): string | undefined => {
    const key = context.switchToHttp().getRequest<FastifyRequest>().headers['idempotency-key'];
    if (key === undefined) return undefined;
    if (typeof key !== 'string' || !VISIBLE_ASCII.test(key)) throw refuseRequest('request.idempotency-key-invalid');
    return key;
  },
  [
    (target, key) => {
      const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(target, key);
      if (key !== undefined && descriptor) documented(target, key, descriptor);
    },
  ],
);

/**
 * @param route the action in stable words, for example `POST /api/prescriptions/{id}/claim`
 * @param ids the ids in the path, in their order
 * @param body as the schema parsed it, members in the order of the schema; the signature is not part of the request
 * @returns what the writer needs to answer a repetition like the first request; undefined without a key
 */
export function idempotency(
  actor: Actor,
  key: string | undefined,
  route: string,
  ids: readonly string[],
  body: object | null | undefined,
): Idempotency | undefined {
  if (key === undefined) return undefined;
  return { client: actor.id, key, request: JSON.stringify([route, ids, body ? withoutSignature(body) : null]) };
}
