import { describe, expect, it } from 'vitest';
import { Config } from './config.js';
import { createLogger, NestLogger } from './logging.js';

describe('NestLogger', () => {
  const linesAt = (level: string): string => {
    let written = '';
    const logger = new NestLogger(
      createLogger(Config.parse({ LOG_LEVEL: level }), { write: (line) => (written += line) }),
    );
    logger.error(new Error('the start was refused'), 'ExceptionHandler');
    return written;
  };

  it('leaves an error of the start to the command, which says it in words', () => {
    expect(linesAt('info')).toBe('');
    expect(linesAt('debug')).toMatch(/"context":"ExceptionHandler".*"at":\["at /);
  });
});
