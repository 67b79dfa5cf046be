import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * The floors of this house, from the ground up, as the drawing in `src/README.md` shows them. A folder imports its own
 * floor and those below, never one above.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['time', 'refusals', 'net', 'config', 'sqlite'],
  ['database'],
  ['ledger'],
  ['queue'],
  ['http'],
  ['identity'],
  ['prescription'],
  ['patient'],
  ['access'],
  ['prescribing', 'dispensing', 'adherence', 'reconciliation'],
  ['log', 'audit', 'import', 'fhir', 'seed'],
  ['app.module.ts', 'chain-models.ts', 'main.ts', 'console', 'demo', 'cli'],
];

const SOURCES = new URL('.', import.meta.url).pathname;

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(
  (file) => /\.(ts|tsx)$/.test(file) && !/\.(spec|fixture)\.tsx?$/.test(file),
);

const imports: readonly Import[] = sources.flatMap((from) =>
  [...readFileSync(join(SOURCES, from), 'utf8').matchAll(/(?:from |import\(|import )'(\.{1,2}\/[^']+)'/g)].map(
    ([, specifier = '']) => ({ from, to: normalize(join(dirname(from), specifier)).replace(/\.js$/, '.ts') }),
  ),
);

const folderOf = (file: string): string => file.split('/')[0] ?? '';
const floorOf = (file: string): number => FLOORS.findIndex((floor) => floor.includes(folderOf(file)));

describe('the floors', () => {
  it('has a floor for every folder', () => {
    const homeless = new Set(imports.flatMap(({ from, to }) => [from, to]).filter((file) => floorOf(file) < 0));
    expect([...homeless]).toEqual([]);
  });

  it('imports nothing from a floor above', () => {
    expect(imports.length).toBeGreaterThan(1000);
    expect(imports.filter(({ from, to }) => floorOf(to) > floorOf(from))).toEqual([]);
  });

  it('keeps ledger/core free of all else', () => {
    const inside = imports.filter(({ from }) => from.startsWith('ledger/core/'));
    expect(inside.length).toBeGreaterThan(50);
    expect(inside.filter(({ to }) => !to.startsWith('ledger/core/'))).toEqual([]);
  });

  it('names the SQLite driver in one file', () => {
    const naming = sources.filter((file) => /from 'sqlite3'/.test(readFileSync(join(SOURCES, file), 'utf8')));
    expect(naming).toEqual(['sqlite/sqlite-file.ts']);
  });

  it('has no folder of the ledger that cannot be seen at once', () => {
    const folders = new Map<string, number>();
    for (const file of readdirSync(join(SOURCES, 'ledger'), { recursive: true, encoding: 'utf8' })) {
      if (/\.(ts|js)$/.test(file) && !file.endsWith('.spec.ts') && dirname(file) !== 'verify')
        folders.set(dirname(file), (folders.get(dirname(file)) ?? 0) + 1);
    }
    expect([...folders].filter(([, files]) => files > 12)).toEqual([]);
  });
});
