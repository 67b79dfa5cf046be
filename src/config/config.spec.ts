import { describe, expect, it } from 'vitest';
import { Config, ConfigError } from './config.js';

describe('settings', () => {
  it.each([
    ['PORT', '70000'],
    ['ROLE', 'boss'],
    ['DATABASE_URL', 'mysql://x'],
    ['LOG_ORIGIN', 'a b'],
    ['WRITER_BATCH', '0'],
    ['DEMO_PASSWORD', 'short'],
  ])('name what does not fit and never repeat its value: %s', (name, value) => {
    expect(() => Config.parse({ [name]: value })).toThrow(ConfigError);
    expect(() => Config.parse({ [name]: value })).toThrow(name);
    expect(() => Config.parse({ [name]: value })).not.toThrow(new RegExp(`${value}$`));
  });

  it('take an empty variable for one that is not there', () => {
    expect(Config.parse({ PORT: '', DATABASE_URL: '' }).env.PORT).toBe(3000);
  });
});
