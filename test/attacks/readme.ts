/** `npm run attacks:readme` writes the tables of the attack suite into README.md; the suite holds them equal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { attackTable } from './attacks.js';
import { LINES } from './lines.js';

const README = 'README.md';
/** Names of the tables, each between comments of its own. */
export const TABLES = { lines: linesInMarkdown, attacks: attacksInMarkdown } as const;
type Table = keyof typeof TABLES;

/** What somebody with root may do, in a line each, as Markdown, cells unpadded. */
function linesInMarkdown(): string {
  const rows = Object.values(LINES).map(({ does, caughtBy }) => [does, caughtBy]);
  return markdown([['somebody with root on the server …', 'is caught by'], ...rows]);
}

/** Every attack, likewise. */
function attacksInMarkdown(): string {
  const rows = attackTable().map(({ attack, form, caughtBy, waitsFor }) => [
    attack,
    form,
    waitsFor ? `nobody here; it takes ${waitsFor}` : caughtBy.join(', '),
  ]);
  return markdown([['what is done', 'how', 'who notices'], ...rows]);
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |\n`)
    .join('');
}

/** What stands in the README, as {@link TABLES} writes it: a formatter pads cells. @throws when there is no place for it */
export function tableInReadme(name: Table): string {
  return split(readFileSync(README, 'utf8'), name)
    .table.trim()
    .split('\n')
    .map((line) =>
      line
        .replace(/ *\| */g, ' | ')
        .replace(/-{3,}/g, '---')
        .trim(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function split(readme: string, name: Table): { before: string; table: string; after: string } {
  const begin = `<!-- ${name}: written by \`npm run attacks:readme\` -->\n`;
  const from = readme.indexOf(begin) + begin.length;
  const end = readme.indexOf(`<!-- /${name} -->`);
  if (from < begin.length || end < from) throw new Error(`README.md has no place for the table of ${name}`);
  return { before: readme.slice(0, from), table: readme.slice(from, end), after: readme.slice(end) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const name of Object.keys(TABLES) as Table[]) {
    const { before, after } = split(readFileSync(README, 'utf8'), name);
    writeFileSync(README, `${before}\n${TABLES[name]()}\n${after}`);
  }
}
