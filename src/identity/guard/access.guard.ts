import { ACTION } from '../../http/public-route.js';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { refuseRequest } from '../../http/problem/problem.js';
import { type Action, mayEver } from './policy.js';

/** Lets nobody through whose route has no action, who has no valid token ({@link TokenFirst}), or whose role never may. */
@Injectable()
export class AccessGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const action: Action | undefined = Reflect.getMetadata(ACTION, context.getHandler());
    if (action === undefined) throw new Error('a route without an action');
    if (action === 'public') return true;
    const { actor } = context.switchToHttp().getRequest<FastifyRequest>();
    if (!actor) throw refuseRequest('access.unauthenticated');
    if (!mayEver(actor.role, action)) throw refuseRequest('access.forbidden');
    return true;
  }
}
