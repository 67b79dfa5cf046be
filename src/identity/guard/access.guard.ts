import { ACTION } from '../../http/public-route.js';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { refuseRequest } from '../../http/problem/problem.js';
import type { Actor } from '../../ledger/model.js';
import { type Action, mayEver } from './policy.js';
import { Tokens } from './tokens.js';

const BEARER = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i;

/** Refuses requests to routes without an action, with an invalid token, or by a role that may never do the action. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(private readonly tokens: Tokens) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const action: Action | undefined = Reflect.getMetadata(ACTION, context.getHandler());
    if (action === undefined) throw new Error('a route without an action');
    if (action === 'public') return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const token = BEARER.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) throw refuseRequest('access.unauthenticated');
    const actor = this.tokens.verify(token);
    return actor instanceof Promise
      ? actor.then((verified) => admit(request, action, verified))
      : admit(request, action, actor);
  }
}

function admit(request: FastifyRequest, action: Action, actor: Actor | null): boolean {
  if (!actor) throw refuseRequest('access.unauthenticated');
  if (!mayEver(actor.role, action)) throw refuseRequest('access.forbidden');
  request.actor = actor;
  return true;
}
