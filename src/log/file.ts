import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { map, type Observable } from 'rxjs';

/** How long a file of the log may be kept, as C2SP tlog-tiles asks; a problem never is. */
export const CACHING = {
  /** It moves. "headers SHOULD prevent caching beyond a few seconds" */
  moving: 'public, max-age=1',
  /** "immutable, so its caching headers SHOULD be long-lived" */
  immutable: 'public, max-age=31536000, immutable',
  /** As long, but only by those who were let in. */
  guarded: 'private, max-age=31536000, immutable',
} as const;

const TYPES = { text: 'text/plain; charset=utf-8', bytes: 'application/octet-stream' } as const;

/** Sets the headers once there is a file to send: set before, a refusal would be kept as long. */
class FileHeaders implements NestInterceptor {
  constructor(
    private readonly type: string,
    private readonly caching: string,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler<string | Uint8Array>): Observable<string | Uint8Array> {
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next.handle().pipe(
      map((file) => {
        void reply.header('content-type', this.type).header('cache-control', this.caching);
        return file;
      }),
    );
  }
}

/** The route answers with a file: text, or bytes. */
export function LogFile(type: keyof typeof TYPES, caching: keyof typeof CACHING, description: string): MethodDecorator {
  const schema = type === 'text' ? { type: 'string' } : { type: 'string', format: 'binary' };
  return applyDecorators(
    UseInterceptors(new FileHeaders(TYPES[type], CACHING[caching])),
    ApiOkResponse({ description, content: { [TYPES[type]]: { schema } } }),
  );
}
