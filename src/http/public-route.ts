import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route's action is another than `public`. */
    needsToken?: boolean;
  }
}

/** Where a route says which action of the policy table it is. */
export const ACTION = 'rxledger:action';

/** A route that anybody may call, without a token. */
export function PublicRoute(): MethodDecorator {
  return applyDecorators(SetMetadata(ACTION, 'public'), ApiExtension('x-action', 'public'));
}
