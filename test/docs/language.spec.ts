import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const LONGEST_README = 12_000;
const LONGEST_PARAGRAPH = 900;
const LONGEST_SENTENCE = 25;

const pages = [
  'README.md',
  ...['src', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter((file) => file.endsWith('README.md')),
  ),
];
const texts = new Map(pages.map((path) => [path, readFileSync(path, 'utf8')]));

/** Without code, and without the tables that are made from the code. */
const prose = (page: string): string =>
  page.replaceAll(/<!-- generated:[^]*?<!-- \/generated -->/g, '').replaceAll(/^ *```[^]*?^ *```$/gm, '');

/** Paragraphs and items of lists, as they are read. */
function paragraphs(page: string): string[] {
  return prose(page)
    .split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )/)
    .filter((block) => !/^\s*[|#<]/.test(block))
    .map((block) => block.replaceAll('\n', ' ').trim());
}

const sentences = (page: string): string[] =>
  paragraphs(page).flatMap((block) => block.split(/(?<=[.!?:;])\s+(?=[A-Z`"])/));

/** As GitHub names the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
const anchors = (path: string): string[] =>
  [...(texts.get(path) ?? readFileSync(path, 'utf8')).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    anchorOf(heading),
  );

/** Comments that stand on lines of their own: what stands behind code is a few words. */
const COMMENT = /^[ \t]*\/\*\*?([^]*?)\*\/|(?:^[ \t]*\/\/.*\n)+/gm;

/** Paragraphs, items and tags of the comments of a file, as they are read. */
function commentsIn(text: string): string[] {
  return [...text.matchAll(COMMENT)].flatMap(([whole, block]) =>
    (block?.replaceAll(/^\s*\*/gm, '') ?? whole.replaceAll(/^\s*\/\/ ?/gm, ''))
      .split(/\n\s*\n|\n(?=\s*(?:@|- |\d+\. ))|:\n/)
      .map((part) =>
        part
          .replaceAll(/\s+/g, ' ')
          .trim()
          .replace(/^@\w+ /, ''),
      ),
  );
}

describe('comments', () => {
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(folder, file)),
  );
  const all = files.flatMap((file) => commentsIn(readFileSync(file, 'utf8')).map((part) => ({ file, part })));

  it('are found', () => {
    expect(
      commentsIn('/** One. Two. */\n// Three\n// goes on.\n\n/**\n * Four:\n * - five\n * @returns six\n */\n'),
    ).toEqual(['One. Two.', 'Three goes on.', 'Four', '- five', 'six']);
    expect(all.length).toBeGreaterThan(2000);
  });

  it('are written in short sentences that begin with what they are about', () => {
    const said = all.flatMap(({ file, part }) =>
      part.split(/(?<=[.!?:;])\s+/).map((sentence) => `${file}: ${sentence}`),
    );
    const wrong = said.filter((text) => text.split(/\s+/).length > LONGEST_SENTENCE + 1 || /^\S+ Of\b/.test(text));
    expect(wrong).toEqual([]);
    expect(all.filter(({ part }) => part.length > LONGEST_PARAGRAPH)).toEqual([]);
  });
});

describe('the README', () => {
  it(`has at most ${LONGEST_README} characters`, () => {
    expect(texts.get('README.md')?.length).toBeLessThanOrEqual(LONGEST_README);
  });
});

describe.each(pages)('%s', (path) => {
  const page = texts.get(path) ?? '';

  it(`has no paragraph of more than ${LONGEST_PARAGRAPH} characters`, () => {
    expect(paragraphs(page).filter((paragraph) => paragraph.length > LONGEST_PARAGRAPH)).toEqual([]);
  });

  it('is written in short sentences that begin with what they are about', () => {
    expect(sentences(page).filter((sentence) => sentence.split(/\s+/).length > LONGEST_SENTENCE)).toEqual([]);
    expect(sentences(page).filter((sentence) => /^Of\b|\bof (?:before|now|then)\b/.test(sentence))).toEqual([]);
  });

  it('links to files and headings that are there', () => {
    const broken = [...page.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^https?:/.test(link)) return [];
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      const there = existsSync(target) && (anchor === undefined || anchors(target).includes(anchor));
      return there ? [] : [link];
    });
    expect(broken).toEqual([]);
  });

  it('names files that are there', () => {
    const named = [...prose(page).matchAll(/`([\w./-]+\.(?:spec\.ts|ts|csv))`/g)].map(([, file = '']) => file);
    const gone = named.filter((file) => ![dirname(path), '.', 'src'].some((from) => existsSync(join(from, file))));
    expect(gone).toEqual([]);
  });
});
