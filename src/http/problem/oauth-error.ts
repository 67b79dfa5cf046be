/**
 * How a route that speaks OAuth 2.0 differs from the others. Its body may be a form. Its refusals are `application/json`
 * with the member `error` of RFC 6749 section 5.2 beside the members of the problem (RFC 9457): OAuth clients look for
 * both. Too many requests and outages are problems as everywhere. A route says so by `@RouteConfig({ oauth: true })`.
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Problem, problem } from './problem.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    oauth?: boolean;
  }
}

export function speaksOauth(request: FastifyRequest): boolean {
  // A request for which no route was found has no configuration.
  return (request.routeOptions.config as { oauth?: boolean } | undefined)?.oauth === true;
}

/** Codes for which RFC 6749 has a word. All other refusals of a request are `invalid_request`. */
const ERRORS: Readonly<Record<string, string>> = {
  'identity.client-refused': 'invalid_client',
  'identity.grant-unsupported': 'unsupported_grant_type',
  'identity.scope-unknown': 'invalid_scope',
};

const INVALID_REQUEST: readonly number[] = [400, 413, 415];

export const oauthProblem = problem
  .extend({
    error: z.enum(['invalid_client', 'invalid_request', 'unsupported_grant_type', 'invalid_scope']),
    error_description: z.string().optional(),
  })
  .meta({ id: 'OauthProblem', title: 'OauthProblem', description: 'A problem that OAuth clients understand too.' });

/** @returns the problem with its `error`; null if RFC 6749 has none for it */
export function asOauthError(refused: Problem): (Problem & { error: string }) | null {
  const error = ERRORS[refused.code] ?? (INVALID_REQUEST.includes(refused.status) ? 'invalid_request' : null);
  return error === null ? null : { ...refused, error };
}
