import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Observable, switchMap } from 'rxjs';

/** How long clients may cache a file of the log, as C2SP tlog-tiles asks. Error answers are never cached. */
export const CACHING = {
  /** For files that change. "headers SHOULD prevent caching beyond a few seconds" */
  moving: 'public, max-age=1',
  /** "immutable, so its caching headers SHOULD be long-lived" */
  immutable: 'public, max-age=31536000, immutable',
  /** As long, but only in caches of authorised clients. */
  guarded: 'private, max-age=31536000, immutable',
} as const;

const TYPES = { text: 'text/plain; charset=utf-8', bytes: 'application/octet-stream' } as const;

const zip = promisify(gzip);
const GZIP = /(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?<weight>[\d.]+)\s*)?(?:,|$)/i;

/**
 * "Entry bundles SHOULD be compressed at the HTTP layer" (C2SP tlog-tiles). Uses gzip for clients that accept it (RFC
 * 9110 section 12.5.3), and sets the headers.
 */
export async function compressed(
  request: FastifyRequest,
  reply: FastifyReply,
  bundle: Uint8Array,
): Promise<Uint8Array> {
  void reply.header('vary', 'accept-encoding');
  const accepted = GZIP.exec(request.headers['accept-encoding'] ?? '');
  if (!accepted || Number(accepted.groups?.['weight'] ?? 1) === 0) return bundle;
  void reply.header('content-encoding', 'gzip');
  return zip(bundle);
}

/**
 * Sets the headers only when there is a file to send. If they were set earlier, clients would cache a refusal as long.
 */
class FileHeaders implements NestInterceptor {
  constructor(
    private readonly type: string,
    private readonly caching: keyof typeof CACHING,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler<string | Uint8Array>): Observable<string | Uint8Array> {
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    return next.handle().pipe(
      switchMap(async (file) => {
        void reply.header('content-type', this.type).header('cache-control', CACHING[this.caching]);
        return this.caching === 'guarded' && typeof file !== 'string' ? compressed(request, reply, file) : file;
      }),
    );
  }
}

/** The route answers with a file: text, or bytes. */
export function LogFile(type: keyof typeof TYPES, caching: keyof typeof CACHING, description: string): MethodDecorator {
  const schema = type === 'text' ? { type: 'string' } : { type: 'string', format: 'binary' };
  return applyDecorators(
    UseInterceptors(new FileHeaders(TYPES[type], caching)),
    ApiOkResponse({ description, content: { [TYPES[type]]: { schema } } }),
  );
}
