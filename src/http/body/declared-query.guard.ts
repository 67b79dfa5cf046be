import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/internal';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SchemaPipe } from './schema.pipe.js';

const NO_PARAMETERS = z.strictObject({});

/**
 * Refuses query parameters on routes that declare none, as a list refuses parameters that it does not know. A route
 * declares them with `@Query({ schema })`, whose schema then checks them.
 */
export class DeclaredQueryGuard implements CanActivate {
  constructor(private readonly pipe: SchemaPipe) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const query = context.switchToHttp().getRequest<FastifyRequest>().query as object;
    // Most requests end here: the metadata is read only for a request with a query.
    if (Object.keys(query).length === 0 || declaresQuery(context)) return true;
    return this.pipe.transform(query, { type: 'query', schema: NO_PARAMETERS }).then(() => true);
  }
}

function declaresQuery(context: ExecutionContext): boolean {
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), context.getHandler().name) ??
    {}) as Readonly<Record<string, unknown>>;
  return Object.keys(parameters).some((name) => name.startsWith(`${RouteParamtypes.QUERY}:`));
}
