import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { arrows, FLOORS, floorOf, folderOf, imports, sources } from '../test/docs/floors.js';

const SOURCES = new URL('.', import.meta.url).pathname;

/** Without Nest, TypeORM and Redis. */
const AUDIT_MAY_IMPORT = ['audit', 'ledger/core', 'ledger/crypto', 'net', 'time', 'config', 'sqlite'];
const isIn = (file: string, folders: readonly string[]): boolean =>
  folders.some((folder) => file.startsWith(`${folder}/`));

/** Packages that a service needs, and an auditor's command does not. */
const SERVICE_PACKAGE = /^(?:@nestjs\/.+|typeorm|bullmq|ioredis|pg)$/;

/** What a file loads when it is loaded itself: paths of ours, and names of packages. Types are gone by then. */
function loadedBy(file: string): string[] {
  const text = readFileSync(join(SOURCES, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)(?! type\b)(?:[^;']*? from)? '([^']+)';$/gm)].map(([, from = '']) =>
    from.startsWith('.') ? normalize(join(dirname(file), from)).replace(/\.js$/, '.ts') : from,
  );
}

/** Everything that is loaded with these files, the files themselves included. */
function loadedWith(files: readonly string[]): Set<string> {
  const loaded = new Set(files);
  for (const file of loaded) if (file.endsWith('.ts')) for (const next of loadedBy(file)) loaded.add(next);
  return loaded;
}

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

  it('lets audit import what runs without Nest, TypeORM and Redis only', () => {
    const inside = imports.filter(({ from }) => isIn(from, ['audit']));
    expect(inside.length).toBeGreaterThan(100);
    expect(inside.filter(({ to }) => !isIn(to, AUDIT_MAY_IMPORT))).toEqual([]);
  });

  it.each([
    ['follower and witness', ['audit']],
    ["an auditor's commands", ['cli/audit', 'cli/program-audit.ts', 'cli/program.ts']],
  ])('loads nothing that only a service needs: %s', (_, parts) => {
    const files = sources.filter((file) => isIn(file, parts) || parts.includes(file));
    const loaded = loadedWith(files);
    expect(files.length).toBeGreaterThan(5);
    expect(loaded.size).toBeGreaterThan(files.length + 20);
    expect([...loaded].filter((one) => SERVICE_PACKAGE.test(one))).toEqual([]);
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

  it('has no file over 300 lines that does not begin with the reason', () => {
    const helpers = readdirSync('test', { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
      .map((file) => join('test', file));
    const long = [...sources.map((file) => join(SOURCES, file)), ...helpers].filter((file) => {
      const text = readFileSync(file, 'utf8');
      return text.split('\n').length > 301 && !text.startsWith('// Longer than 300 lines: ');
    });
    expect(long).toEqual([]);
  });
});

const nameOf = (node: string): string => /\["(.+)"\]/.exec(node)?.[1] ?? node;

describe('the drawing in src/README.md', () => {
  const page = readFileSync(join(SOURCES, 'README.md'), 'utf8');
  const lines = (/```mermaid\nflowchart TB\n([^]*?)```/.exec(page)?.[1] ?? '').split('\n').map((line) => line.trim());
  const drawn: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('subgraph')) drawn.unshift([]);
    else if (/^\w+(?:\[".+"\])?$/.test(line) && line !== 'end') drawn[0]?.push(nameOf(line));
  }

  it('has every folder on its floor', () => {
    const there = new Set(sources.map(folderOf));
    expect(drawn).toEqual(
      FLOORS.map((floor) => floor.filter((name) => there.has(name))).filter((floor) => floor.length > 0),
    );
  });

  it('has an arrow for everything that is imported, unless other arrows lead there', () => {
    const named = new Map(drawn.flat().map((name) => [name.replaceAll(/\W/g, '_'), name]));
    const shown = lines.flatMap((line) => {
      const [from, to] = line.split(' --> ');
      return from !== undefined && to !== undefined ? [[named.get(from), named.get(to)]] : [];
    });
    expect(shown, 'run `npm run docs`').toEqual(arrows());
  });
});
