import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type { Refusal } from '../ledger/model.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { describeError } from './logging.js';
import { type Problem, PROBLEM_TYPE, problemOf, RefusalException } from './problem.js';
import type { RequestRefusalCode } from './request-refusals.js';

/** By status, for what Fastify and Nest refuse on their own; their messages may hold the URL or values. */
const BY_STATUS: Readonly<Record<number, RequestRefusalCode>> = {
  401: 'access.unauthenticated',
  403: 'access.forbidden',
  404: 'request.not-found',
  413: 'request.too-large',
  415: 'request.unsupported-media-type',
  429: 'request.rate-limited',
};

/** As bytes: Fastify would add a charset to a string, which the media type does not have. */
export function sendProblem(reply: FastifyReply, problem: Problem): void {
  void reply
    .code(problem.status)
    .header('content-type', PROBLEM_TYPE)
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Every error becomes `application/problem+json`; only codes and facts get out, never a message. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    // The answer is under way, or the socket was handed over: there is nobody left to tell.
    if (reply.sent || reply.raw.headersSent) {
      this.logUnexpected(error, reply);
      return;
    }
    const refusal = this.refusalOf(error, reply);
    const problem = problemOf(refusal);
    if (problem.code === 'internal') this.logUnexpected(error, reply);
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer');
    if (error instanceof LedgerUnavailable) void reply.header('retry-after', String(error.retryAfterSeconds));
    sendProblem(reply, problem);
  }

  private refusalOf(error: unknown, reply: FastifyReply): Refusal {
    if (error instanceof RefusalException) return error.refusal;
    if (error instanceof LedgerUnavailable) {
      return { code: 'ledger.unavailable', facts: { retryAfterSeconds: error.retryAfterSeconds } };
    }
    const status = statusOf(error);
    if (status === null || status < 400 || status >= 500) return { code: 'internal', facts: {} };
    if (status === 413) void reply.header('connection', 'close');
    return { code: BY_STATUS[status] ?? 'request.malformed', facts: {} };
  }

  private logUnexpected(error: unknown, reply: FastifyReply): void {
    this.logger.error({ requestId: reply.request.id, ...describeError(error) }, 'unexpected error');
  }
}

function statusOf(error: unknown): number | null {
  if (error instanceof HttpException) return error.getStatus();
  if (!(error instanceof Error) || !('statusCode' in error)) return null;
  return typeof error.statusCode === 'number' ? error.statusCode : null;
}
