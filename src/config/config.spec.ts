import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Config, ConfigError, settings } from './config.js';

describe('settings', () => {
  it('stand in the README, each with its default', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const table = readme.slice(readme.indexOf('## Settings'), readme.indexOf('## Operations'));
    const rows = [...table.matchAll(/^\|\s*(`[A-Z_]+`(?:, `[A-Z_]+`)*)\s*\|([^|]*)\|/gm)].flatMap(
      ([, names = '', said = '']) => {
        const defaults = said.split(',').map((text) => text.trim().replaceAll('`', ''));
        return names.split(',').map((name, at) => [name.trim().replaceAll('`', ''), defaults[at] ?? ''] as const);
      },
    );
    const { env } = Config.parse({});
    expect(rows.map(([name]) => name).toSorted()).toEqual(Object.keys(settings.in.shape).toSorted());
    for (const [name, said] of rows) {
      const value = env[name as keyof typeof env];
      expect([name, said]).toEqual([name, value === undefined ? expect.stringMatching(/^$|random/) : String(value)]);
    }
  });

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
