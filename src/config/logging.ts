/** The log: pino lines that hold no health data, names, tokens, URLs, headers or bodies. */
import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from './config.js';

/**
 * Leaves out an error's message, which may hold values (names, SQL parameters). Its class and stack frames say where to
 * look.
 */
export function describeError(error: unknown): { error: string; code?: string; at?: string[] } {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  return { error: error.name, ...code, at: frames(error.stack) };
}

function frames(stack: string | undefined): string[] {
  return (stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 12)
    .map((line) => line.trim());
}

/** The longest that a line waits in memory, ms; it is written at once where 4 KiB are there before. */
const FLUSH_MS = 100;

/**
 * Where a service's lines go. They are written in a thread: whoever reads them slowly must not stop the service. At the
 * end of the process, also after an uncaught error, what is left is written; `kill -9` may lose {@link FLUSH_MS} of lines.
 * @param fd 1 for standard output, 2 for standard error
 */
export function logStream(fd: 1 | 2): DestinationStream {
  return pino.destination({ dest: fd, sync: false, minLength: 4096, periodicFlush: FLUSH_MS });
}

/** @param destination where lines go; standard output by default */
export function createLogger(config: Config, destination: DestinationStream = logStream(1)): Logger {
  const options = {
    level: config.env.LOG_LEVEL,
    base: { process: config.processId },
    // Fastify passes these objects whole; only members that are safe to log are kept.
    serializers: {
      req: ({ method }: { method?: unknown }) => ({ method }),
      res: ({ statusCode }: { statusCode?: unknown }) => ({ statusCode }),
      err: describeError,
    },
  };
  return pino(options, destination);
}

/** Nest's own lines, through pino. Anything but a plain string is left out, since it may hold personal data. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest passes the name of the logging class last; a stack may come before it. */
  private write(level: 'debug' | 'warn' | 'error' | 'fatal', message: unknown, rest: unknown[]): void {
    const last = rest.at(-1);
    const context = typeof last === 'string' && !last.includes('\n') ? last : undefined;
    const stack = rest.find((part): part is string => typeof part === 'string' && part.includes('\n    at '));
    if (typeof message === 'string') this.logger[level]({ context, ...(stack && { at: frames(stack) }) }, message);
    else this.logger[level]({ context, ...describeError(message) });
  }
}
