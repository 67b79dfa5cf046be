import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import type { Refusal } from '../ledger/model.js';
import { LedgerUnavailable } from '../ledger/unavailable.js';
import { PROBLEM_TYPE, problemOf, RefusalException } from './problem.js';
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
    void reply.code(problem.status).header('content-type', PROBLEM_TYPE).send(JSON.stringify(problem));
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

  /** The message of an unexpected error may hold values: its class and stack frames say where to look. */
  private logUnexpected(error: unknown, reply: FastifyReply): void {
    const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : [];
    this.logger.error(
      {
        requestId: reply.request.id,
        error: error instanceof Error ? error.name : typeof error,
        at: frames.slice(0, 12),
      },
      'unexpected error',
    );
  }
}

function statusOf(error: unknown): number | null {
  if (error instanceof HttpException) return error.getStatus();
  if (!(error instanceof Error) || !('statusCode' in error)) return null;
  return typeof error.statusCode === 'number' ? error.statusCode : null;
}
