/** Pages beside the code, and the places in them that `npm run docs` fills in. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TABLES } from './tables.js';

/** A place in a page. The formatter would pad the cells of a table, so that one cell changes every line. */
const PLACE = /<!-- generated: ([\w-]+) -->\n[^]*?<!-- \/generated -->/g;

/** @returns the README.md of the project and of every folder in `src` and `test` that has one */
export function pages(): string[] {
  const beside = ['src', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  );
  return ['README.md', ...beside.filter((file) => file.endsWith('README.md'))];
}

/** @returns the names of the tables that a page has a place for */
export function tablesIn(page: string): string[] {
  return [...page.matchAll(PLACE)].map(([, name = '']) => name);
}

/** @returns the page with every table as the code has it now. @throws for a table that nobody makes */
export function filledIn(page: string): string {
  return page.replaceAll(PLACE, (_, name: string) => {
    const table = TABLES[name];
    if (!table) throw new Error(`there is no table ${name}: ${Object.keys(TABLES).join(', ')}`);
    return [
      `<!-- generated: ${name} -->`,
      '<!-- prettier-ignore-start -->',
      '',
      table(),
      '<!-- prettier-ignore-end -->',
      '<!-- /generated -->',
    ].join('\n');
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const path of pages()) {
    const page = readFileSync(path, 'utf8');
    const filled = filledIn(page);
    if (filled === page) continue;
    writeFileSync(path, filled);
    console.log(`${path} is written`);
  }
}
