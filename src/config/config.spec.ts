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
    ['TRUST_PROXY', 'proxy.example'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', '10.0.0.1,,10.0.0.2'],
    ['TRUST_PROXY', '10.0.0.0/8/8'],
  ])('name what does not fit and never repeat its value: %s', (name, value) => {
    expect(() => Config.parse({ [name]: value })).toThrow(ConfigError);
    expect(() => Config.parse({ [name]: value })).toThrow(name);
    expect(() => Config.parse({ [name]: value })).not.toThrow(new RegExp(`${value}$`));
  });

  it.each(['10.0.0.1', '10.0.0.0/8, 2001:db8::/32', 'loopback'])('trust the proxies %s', (value) => {
    expect(Config.parse({ TRUST_PROXY: value }).env.TRUST_PROXY).toBe(value);
  });

  it('take an empty variable for one that is not there', () => {
    expect(Config.parse({ PORT: '', DATABASE_URL: '' }).env.PORT).toBe(3000);
  });
});
