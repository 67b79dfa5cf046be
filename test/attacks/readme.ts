/** `npm run attacks:readme` writes the tables of the attack suite into a page; the suite holds them equal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { attackTable } from './attacks.js';
import { LINES } from './lines.js';

/** The page that holds the tables. */
const PAGE = 'README.md';
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
  return split(readFileSync(PAGE, 'utf8'), name)
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

function split(page: string, name: Table): { before: string; table: string; after: string } {
  const begin = `<!-- ${name}: written by \`npm run attacks:readme\` -->\n`;
  const from = page.indexOf(begin) + begin.length;
  const end = page.indexOf(`<!-- /${name} -->`);
  if (from < begin.length || end < from) throw new Error(`${PAGE} has no place for the table of ${name}`);
  return { before: page.slice(0, from), table: page.slice(from, end), after: page.slice(end) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const name of Object.keys(TABLES) as Table[]) {
    const { before, after } = split(readFileSync(PAGE, 'utf8'), name);
    writeFileSync(PAGE, `${before}\n${TABLES[name]()}\n${after}`);
  }
  // For the formatter.
  console.log(PAGE);
}
