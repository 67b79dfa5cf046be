import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, order, organisation, patient } from './bundle.fixture.js';
import { ResourceIndex } from './index-of-resources.js';
import { toHistoricalOrder } from './order.js';
import { isItem, parseImport } from './parse.js';
import { toEnrolment } from './patient.js';
import { readImport } from './read-file.js';
import { IMPORT_REASONS } from './reasons.js';
import { examples } from '../../test/support/length.js';

const line = (value: unknown) => JSON.stringify(value);

/** `source: type` or `source: reason`. */
function seen(content: string, file = 'f.json'): string[] {
  return [...parseImport(content, file)].map((p) => `${p.source}: ${isItem(p) ? p.type : p.reason}`);
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rxledger-import-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function seenInFile(content: string | Uint8Array, file = 'f.json'): Promise<string[]> {
  const path = join(folder, file);
  await writeFile(path, content);
  const found: string[] = [];
  for await (const p of readImport(path, file)) found.push(`${p.source}: ${isItem(p) ? p.type : p.reason}`);
  return found;
}

const cases: [title: string, content: string, file: string, expected: string[]][] = [
  [
    'a transaction',
    bundle(patient, organisation),
    'b.json',
    ['b.json:entry[0]: Patient', 'b.json:entry[1]: Organization'],
  ],
  ['a single resource', line(patient), 'p.json', ['p.json: Patient']],
  ['a single resource over several lines', JSON.stringify(patient, null, 2), 'p.json', ['p.json: Patient']],
  ['a byte order mark', `\uFEFF${line(patient)}`, 'p.json', ['p.json: Patient']],
  [
    'NDJSON with blank and broken lines',
    `${line(patient)}\n\n{"resourceType":\r\n${line(order())}\n`,
    'x.ndjson',
    ['x.ndjson:1: Patient', 'x.ndjson:3: import.bad-json', 'x.ndjson:4: MedicationRequest'],
  ],
  [
    'NDJSON under another name',
    `${line(patient)}\n${line(order())}`,
    'x.txt',
    ['x.txt:1: Patient', 'x.txt:2: MedicationRequest'],
  ],
  [
    'Bundles on lines',
    `${line(patient)}\n${line({ resourceType: 'Bundle', type: 'batch', entry: [{ resource: order() }] })}`,
    'x.ndjson',
    ['x.ndjson:1: Patient', 'x.ndjson:2:entry[0]: MedicationRequest'],
  ],
  ['no JSON', 'Dear all,\nthis is a letter.', 'f.json', ['f.json: import.bad-json']],
  ['cut JSON', bundle(patient).slice(0, -20), 'f.json', ['f.json: import.bad-json']],
  ['an empty file', '', 'f.json', ['f.json: import.empty']],
  ['a blank file', ' \n\n', 'f.json', ['f.json: import.empty']],
  ['a list', '[1]', 'f.json', ['f.json: import.not-a-resource']],
  ['a null', 'null', 'f.json', ['f.json: import.not-a-resource']],
  ['an object of no type', '{}', 'f.json', ['f.json: import.not-a-resource']],
  [
    'a history Bundle',
    line({ resourceType: 'Bundle', type: 'history', entry: [] }),
    'f.json',
    ['f.json: import.bundle-type'],
  ],
  ['a Bundle without type', line({ resourceType: 'Bundle' }), 'f.json', ['f.json: import.bundle-type']],
  ['a Bundle without entries', line({ resourceType: 'Bundle', type: 'collection' }), 'f.json', []],
  [
    'a Bundle whose entry is no list',
    line({ resourceType: 'Bundle', type: 'batch', entry: 1 }),
    'f.json',
    ['f.json: import.not-a-resource'],
  ],
  [
    'entries without resource',
    line({
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ request: { method: 'DELETE', url: 'Patient/1' } }, {}, 7],
    }),
    'f.json',
    ['f.json:entry[1]: import.not-a-resource', 'f.json:entry[2]: import.not-a-resource'],
  ],
];

describe('parseImport', () => {
  it.each(cases)('%s', (_, content, file, expected) => {
    expect(seen(content, file)).toEqual(expected);
  });

  it('has a sentence for every reason, none with a placeholder for what was read', () => {
    for (const [code, sentence] of Object.entries(IMPORT_REASONS)) {
      expect(code).toMatch(/^import\.[a-z-]+$/);
      expect(sentence).toMatch(/^[A-Z][^{}$%]*\.$/);
    }
  });
});

describe('readImport, from a file', () => {
  it.each(cases)('%s', async (_, content, file, expected) => {
    expect(await seenInFile(content, file)).toEqual(expected);
  });

  it('reads lines that are cut by the reader’s chunks', async () => {
    const long = { ...patient, text: { div: 'ä'.repeat(800_000) } };
    expect(await seenInFile([long, patient, long].map(line).join('\n'), 'long.ndjson')).toEqual([
      'long.ndjson:1: Patient',
      'long.ndjson:2: Patient',
      'long.ndjson:3: Patient',
    ]);
  });

  it('refuses bytes that are not UTF-8, alone in a line or as a whole', async () => {
    const latin1 = Buffer.from('{"resourceType":"Patient","id":"\xe4"}', 'latin1');
    expect(await seenInFile(latin1)).toEqual(['f.json: import.bad-encoding']);
    const lines = Buffer.concat([Buffer.from(`${line(patient)}\n`), latin1, Buffer.from(`\n${line(order())}`)]);
    expect(await seenInFile(lines, 'x.ndjson')).toEqual([
      'x.ndjson:1: Patient',
      'x.ndjson:2: import.bad-encoding',
      'x.ndjson:3: MedicationRequest',
    ]);
  });

  it('refuses what is no file', async () => {
    const found = [];
    for (const path of [folder, join(folder, 'nowhere')]) for await (const p of readImport(path, 'f')) found.push(p);
    expect(found).toEqual([
      { source: 'f', reason: 'import.unreadable' },
      { source: 'f', reason: 'import.unreadable' },
    ]);
  });
});

/** JSON that resembles the importer's input, with arbitrary values anywhere. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom('Patient', 'urn:uuid:x', 'Patient/1', 'order', 'active', '#', '2020', '\uD800'),
      fc.array(tie('value'), { maxLength: 3 }),
      tie('object'),
    ),
    object: fc.dictionary(
      fc.constantFrom(
        ...new Set([...Object.keys(order()), ...Object.keys(patient)]),
        'reference',
        'coding',
        'code',
        'system',
        'value',
        'entry',
        'resource',
        'fullUrl',
        'type',
        'contained',
        'medicationReference',
        '__proto__',
      ),
      tie('value'),
      { maxKeys: 12 },
    ),
    resource: fc
      .tuple(
        fc.constantFrom(
          'MedicationRequest',
          'Patient',
          'Organization',
          'Bundle',
          'Encounter',
          'PractitionerRole',
          'Medication',
        ),
        tie('object'),
      )
      .map(([resourceType, rest]) => Object.assign({}, order(), rest, { resourceType })),
  })).resource,
);

describe('arbitrary input', () => {
  it('never makes the parser, the index or the mapping throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(anything, { maxLength: 4 }).map((all) => all.map(line).join('\n')),
        ),
        (content) => {
          const index = new ResourceIndex();
          const items = [...parseImport(content, 'f.ndjson')].filter(isItem);
          for (const item of items) index.add(item);
          for (const item of items) {
            const result = item.type === 'Patient' ? toEnrolment(item) : toHistoricalOrder(item, index);
            if (!result.ok) expect(IMPORT_REASONS).toHaveProperty([result.reason]);
          }
        },
      ),
      { numRuns: examples(2000) },
    );
  });
});
