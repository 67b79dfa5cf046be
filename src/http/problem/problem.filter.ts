import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type { Refusal } from '../../ledger/model.js';
import { asUnavailable, type LedgerUnavailable } from '../../ledger/unavailable.js';
import { describeError } from '../../config/logging.js';
import { asOauthError, speaksOauth } from './oauth-error.js';
import { type Problem, PROBLEM_TYPE, problemOf, RefusalException } from './problem.js';
import type { RequestRefusalCode } from '../../refusals/request-refusals.js';

/** Codes for what Fastify and Nest refuse themselves, by status. Their own messages may hold the URL or values. */
const BY_STATUS: Readonly<Record<number, RequestRefusalCode>> = {
  401: 'access.unauthenticated',
  403: 'access.forbidden',
  404: 'request.not-found',
  413: 'request.too-large',
  415: 'request.unsupported-media-type',
  429: 'request.rate-limited',
};

/** Sends bytes: Fastify would add a charset to a string, and this media type has none. */
export function sendProblem(reply: FastifyReply, problem: Problem): void {
  void reply
    .code(problem.status)
    .header('content-type', PROBLEM_TYPE)
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Makes `application/problem+json` of every error. Only codes and facts leave the service, never an error's message. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    // The answer has begun, or the socket was handed over: nobody can be told any more.
    if (reply.sent || reply.raw.headersSent) {
      this.logUnexpected(error, reply);
      return;
    }
    // Reads meet an outage of the database directly. For writes the ledger reports it.
    const outage = asUnavailable(error);
    const refusal: Refusal = outage
      ? { code: 'ledger.unavailable', facts: { retryAfterSeconds: outage.retryAfterSeconds } }
      : this.refusalOf(error, reply);
    const problem = problemOf(refusal);
    if (problem.code === 'internal') this.logUnexpected(error, reply);
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer');
    if (outage) void reply.header('retry-after', String(outage.retryAfterSeconds));
    if (outage && outage !== error) this.logOutage(outage, reply);
    const oauthError = speaksOauth(reply.request) ? asOauthError(problem) : null;
    if (oauthError) void reply.code(problem.status).send(oauthError);
    else sendProblem(reply, problem);
  }

  private refusalOf(error: unknown, reply: FastifyReply): Refusal {
    if (error instanceof RefusalException) return error.refusal;
    const status = statusOf(error);
    if (status === null || status < 400 || status >= 500) return { code: 'internal', facts: {} };
    if (status === 413) void reply.header('connection', 'close');
    return { code: BY_STATUS[status] ?? 'request.malformed', facts: {} };
  }

  /** Outages that the ledger met are in the log already. */
  private logOutage(outage: LedgerUnavailable, reply: FastifyReply): void {
    this.logger.warn({ requestId: reply.request.id, reason: outage.message }, 'a read met an outage');
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
