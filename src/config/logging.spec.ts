import { describe, expect, it } from 'vitest';
import { Config } from './config.js';
import { createLogger, NestLogger } from './logging.js';

function linesAt(level: string): string {
  let written = '';
  const config = Config.parse({ LOG_LEVEL: level });
  const logger = new NestLogger(createLogger(config, { write: (line) => (written += line) }));
  logger.error(new Error('the start was refused'), 'ExceptionHandler');
  return written;
}

describe('NestLogger', () => {
  it('leaves an error of the start to the command, which says it in words', () => {
    expect(linesAt('info')).toBe('');
    expect(linesAt('debug')).toMatch(/"context":"ExceptionHandler".*"at":\["at /);
  });
});
