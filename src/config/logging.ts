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

/** Longest time that a line waits in memory, ms. Lines are written earlier when there are 4 KiB. */
const FLUSH_MS = 100;

/**
 * The destination of a service's log lines. A thread writes them, so that a slow reader does not stop the service.
 * Remaining lines are written at the end of the process, even after an uncaught error. `kill -9` may lose the lines of
 * the last {@link FLUSH_MS}.
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
    // Nest also throws what it logs here, an error of the start: the command says it, in words and without frames.
    this.write(rest.at(-1) === 'ExceptionHandler' ? 'debug' : 'error', message, rest);
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
