import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { settings } from '../../src/config/config.js';
import { filledIn, pages, tablesIn } from './pages.js';
import { TABLES } from './tables.js';

describe('generated tables', () => {
  it('all have a place in a page', () => {
    const placed = pages().flatMap((path) => tablesIn(readFileSync(path, 'utf8')));
    expect([...new Set(placed)].toSorted()).toEqual(Object.keys(TABLES).toSorted());
  });

  it.each(pages())('%s is what the code says: where it is not, `npm run docs` writes it', (path) => {
    const page = readFileSync(path, 'utf8');
    expect(page.replaceAll('\r\n', '\n') === filledIn(page), `${path} is stale: run \`npm run docs\``).toBe(true);
  });

  it('replace whatever stands in their place, and nothing else', () => {
    const page = '# T\n<!-- generated: exit-codes -->\nold\n<!-- /generated -->\nkept\n';
    const filled = filledIn(page);
    expect(filled).toMatch(/^# T\n<!-- generated: exit-codes -->\n[^]*\n<!-- \/generated -->\nkept\n$/);
    expect(filled).toContain('| 0 | done |');
    expect(filled).not.toContain('old');
    expect(filledIn(filled)).toBe(filled);
    expect(() => filledIn('<!-- generated: nonsense -->\n<!-- /generated -->')).toThrow(/no table nonsense/);
  });

  it('have a meaning for every setting, and the default that holds', () => {
    const table = TABLES['settings']?.() ?? '';
    for (const [name, { description }] of Object.entries(settings.in.shape)) {
      expect([name, description]).toEqual([name, expect.stringMatching(/\w/)]);
      expect(table).toContain(`| \`${name}\` |`);
    }
    expect(table).toContain('| `PORT` | `3000` |');
    expect(table).toContain('| `PUBLISH_SECONDS` | `1`, in production `10` |');
  });

  it('name every command with its arguments and options', () => {
    const table = TABLES['commands']?.() ?? '';
    expect(table).toMatch(/^\| `rxledger log verify \[path\]` \| [^|]+ \| [^|]*`--keys <folder>`/m);
    expect(table).toMatch(/^\| `rxledger import <file\.\.\.>` \|/m);
  });
});
