import { readdirSync, readFileSync } from 'node:fs';
import { maxHeaderSize } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { IMPORT_REASONS } from '../import/reasons.js';
import { MAX_DEPTH } from '../http/body/strict-json.js';
import { BODY_LIMIT, PUBLIC_BODY_LIMIT, REQUEST_TIMEOUT } from '../http/server.js';
import { REFUSALS } from './refusals.js';

const SOURCES = new URL('..', import.meta.url).pathname;
const TABLES = [
  'refusals/care-refusals.ts',
  'refusals/record-refusals.ts',
  'refusals/request-refusals.ts',
  'import/reasons.ts',
];
/** Reasons of the importer have no HTTP status, and a table of their own. */
const KNOWN: ReadonlySet<string> = new Set([...Object.keys(REFUSALS), ...Object.keys(IMPORT_REASONS)]);

const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !TABLES.includes(file))
  .map((file) => ({ file, text: readFileSync(join(SOURCES, file), 'utf8') }));

/** A refusal is made by one of these, or written out as `{ code: '…' }`; a condition may choose between codes. */
const MADE = /\b(?:refuse|refuseRequest|no)\(([^(){]*)|\bcode:([^,}\n]*)/g;
const CODE = /'([a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z]+)*)'/g;

function codesIn(text: string): string[] {
  return [...text.matchAll(MADE)].flatMap(([, call = '', member = '']) =>
    [...`${call} ${member}`.matchAll(CODE)].map(([, code = '']) => code),
  );
}

describe('the table of refusals', () => {
  it('has every code that the source refuses with', () => {
    const missing = files.flatMap(({ file, text }) =>
      codesIn(text).flatMap((code) => (KNOWN.has(code) ? [] : [`${file}: ${code}`])),
    );
    expect(missing).toEqual([]);
  });

  it('is scanned for real', () => {
    const found = new Set(files.flatMap(({ text }) => codesIn(text)));
    expect([...found]).toEqual(
      expect.arrayContaining([
        'prescription.claimed-elsewhere',
        'claim.token-wrong',
        'claim.not-entitled',
        'dose.unknown',
      ]),
    );
    expect(codesIn("refuse(a ? 'x.y' : 'x.z'); const refusal = { code: 'q.r', facts: {} };")).toEqual([
      'x.y',
      'x.z',
      'q.r',
    ]);
  });

  it('has no code that nothing refuses with', () => {
    const unused = [...KNOWN].filter((code) => !files.some(({ text }) => text.includes(`'${code}'`)));
    expect(unused).toEqual([]);
  });

  it('gives each a status of the client or an outage, and a title of its own', () => {
    const entries = Object.entries(REFUSALS);
    expect(KNOWN.size).toBe(entries.length + Object.keys(IMPORT_REASONS).length);
    expect(entries.filter(([, { status }]) => status < 400 || status > 503).map(([code]) => code)).toEqual([]);
    expect(new Set(entries.map(([, { title }]) => title)).size).toBe(entries.length);
  });

  const TITLES: [code: string, title: string][] = [
    ...Object.entries(REFUSALS).map(([code, { title }]): [string, string] => [code, title]),
    ...Object.entries(IMPORT_REASONS),
  ];

  it('says no word that only those know who built it', () => {
    const words = /\b(?:chains?|commitments?|leaf|leaves|payloads?)\b/i;
    expect(TITLES.filter(([, title]) => words.test(title))).toEqual([]);
  });

  it('says it in sentences of at most 25 words, each of which ends', () => {
    const long = TITLES.filter(([, title]) =>
      title.split(/[.:;!?](?= |$)/).some((sentence) => sentence.trim().split(/\s+/).length > 25),
    );
    expect(long).toEqual([]);
    expect(TITLES.filter(([, title]) => !/^[A-Z].*\.$/.test(title))).toEqual([]);
  });

  it('says what to do next: more than one sentence, or one that tells', () => {
    const short = Object.entries(REFUSALS).filter(
      ([, { title }]) => title.split(/\. (?=[A-Z`])/).length < 2 && !/\b(?:Ask|Check|Send|See)\b/.test(title),
    );
    expect(short).toEqual([]);
    const ends = TITLES.filter(([, title]) =>
      /^(?:Nothing|No |`|You have not|\w+(?: \w+)? was not )/.test(title.split(/[.:] (?=[A-Z`])/).at(-1) ?? ''),
    );
    expect(ends).toEqual([]);
  });

  it('names a bound as the code has it', () => {
    expect(REFUSALS['request.too-deep'].title).toContain(` ${MAX_DEPTH} levels `);
    expect(BODY_LIMIT).toBe(1024 * 1024);
    expect(PUBLIC_BODY_LIMIT).toBe(4 * 1024);
    expect(REQUEST_TIMEOUT).toBe(10_000);
    expect(maxHeaderSize).toBe(16 * 1024);
  });
});
