/** `npm run attacks:readme` writes the table of the attack suite into README.md; the suite holds the two equal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { attackTable } from './attacks.js';

const README = 'README.md';
const BEGIN = '<!-- attacks: written by `npm run attacks:readme` -->\n';
const END = '<!-- /attacks -->';

/** The table as Markdown, cells unpadded. */
export function attacksInMarkdown(): string {
  const rows = attackTable().map(({ attack, form, caughtBy, waitsFor }) =>
    [attack, form, waitsFor ? `nobody here; it takes ${waitsFor}` : caughtBy.join(', ')].map((cell) =>
      cell.replaceAll('|', String.raw`\|`),
    ),
  );
  return [['what is done', 'how', 'who notices'], ['---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
}

/** What stands in the README, as {@link attacksInMarkdown} writes it: a formatter pads cells. @throws when there is no place for it */
export function attacksInReadme(): string {
  return split(readFileSync(README, 'utf8'))
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

function split(readme: string): { before: string; table: string; after: string } {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error('README.md has no place for the table of attacks');
  const from = begin + BEGIN.length;
  return { before: readme.slice(0, from), table: readme.slice(from, end), after: readme.slice(end) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { before, after } = split(readFileSync(README, 'utf8'));
  writeFileSync(README, `${before}\n${attacksInMarkdown()}\n${after}`);
}
