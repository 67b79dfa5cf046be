/** Decorators with which controllers declare who may call them, and get the actor of a request. */
import { applyDecorators, createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiExtension } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';
import type { Actor } from '../../ledger/model.js';
import { ROLES } from '../../http/openapi/operations.js';
import { ACTION } from '../../http/public-route.js';
import { type Action as PolicyAction, rolesFor } from './policy.js';

/**
 * Names the policy action of a route; every route has exactly one. The guard checks the token (unless the action is
 * `public`) and whether the role may ever do the action. The service checks the relation to the object with `may(...)`.
 */
export function Action(action: Exclude<PolicyAction, 'public'>): MethodDecorator {
  const roles = rolesFor(action);
  return applyDecorators(
    SetMetadata(ACTION, action),
    // Fastify must know it too: the token is checked before the body is read.
    RouteConfig({ needsToken: true }),
    ApiExtension('x-action', action),
    ...(roles ? [ApiExtension(ROLES, roles)] : []),
    ApiBearerAuth(),
  );
}

/** The actor of the request, on every route whose action is not `public`. */
export const CurrentActor = createParamDecorator((_: undefined, context: ExecutionContext): Actor => {
  const { actor } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!actor) throw new Error('a public route asks for its actor');
  return actor;
});
