/** The tables of the attack suite for `npm run docs`, as Markdown. */
import { markdownTable } from '../docs/markdown.js';
import { attackTable } from './attacks.js';
import { LINES } from './lines.js';

/** What somebody with root on the server can do, one line each, and who catches it. */
export function linesInMarkdown(): string {
  const rows = Object.values(LINES).map(({ does, caughtBy }) => [does, caughtBy]);
  return markdownTable([['somebody with root on the server …', 'is caught by'], ...rows]);
}

/** Every attack of the suite, and who notices it. */
export function attacksInMarkdown(): string {
  const rows = attackTable().map(({ attack, form, caughtBy, waitsFor }) => [
    attack,
    form,
    waitsFor ? `nobody here; it takes ${waitsFor}` : caughtBy.join(', '),
  ]);
  return markdownTable([['what is done', 'how', 'who notices'], ...rows]);
}
