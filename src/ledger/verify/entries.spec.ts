import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryOfChain, goodEntries, ORIGIN } from '../../../test/support/made-log.js';
import { toBase64 } from '../core/bytes.js';
import { decodeEntry, type Entry } from '../core/record/entry.js';
import { GrowingTree } from '../core/tlog/merkle.js';
import { nodeHasher } from '../crypto/node-hasher.js';
import { EntryAudit } from './entries.js';
import { RebuiltTree } from './rebuilt-tree.js';
import { Findings } from './report.js';
import { examples } from '../../../test/support/length.js';

const leafInput = (entry: Uint8Array): Buffer => Buffer.concat([Buffer.of(0), entry]);

/** Applies every rule in its plainest form to every parsed entry. @returns index and fault of each wrong entry */
function byReading(entries: readonly Uint8Array[], origin: string): string[] {
  const wrong: string[] = [];
  const ends = new Map<string, { seq: number; leaf: string }>();
  let time = '';
  for (const [index, bytes] of entries.entries()) {
    let entry: Entry;
    try {
      entry = decodeEntry(bytes);
    } catch {
      wrong.push(`${index} is not an entry`);
      continue;
    }
    if (entry.log !== origin) wrong.push(`${index} names another log`);
    if (entry.time < time) wrong.push(`${index} time runs backwards`);
    time = entry.time;
    const end = ends.get(entry.chain);
    if (!end && entry.seq !== 0) wrong.push(`${index} its chain does not begin with seq 0`);
    if (end && entry.seq !== end.seq + 1) wrong.push(`${index} its seq does not follow the chain`);
    if (end && toBase64(entry.prev) !== end.leaf)
      wrong.push(`${index} its prev is not the leaf of the entry before it in its chain`);
    ends.set(entry.chain, { seq: entry.seq, leaf: toBase64(nodeHasher.leaf(bytes)) });
  }
  return wrong;
}

function audited(entries: readonly Uint8Array[], origin = ORIGIN): { wrong: string[]; audit: EntryAudit } {
  const findings = new Findings();
  const audit = new EntryAudit([{ origin, from: 0 }], findings, 'entry');
  for (const bytes of entries) audit.take(leafInput(bytes));
  return { wrong: findings.listed.map(({ where, what }) => `${where['index']} ${what}`), audit };
}

const good = [...goodEntries(60, 7)];

describe('an audit of entries', () => {
  it('finds nothing in a good log, and knows the end of each chain', () => {
    const { wrong, audit } = audited(good);
    expect(wrong).toEqual([]);
    expect({ verified: audit.verified, size: audit.tree.size, chains: audit.chains.size }).toEqual({
      verified: 60,
      size: 60,
      chains: 7,
    });
    const last = decodeEntry(good[59]!);
    expect(audit.chains.get(last.chain)).toEqual({ num: 3, seq: last.seq, leaf: toBase64(nodeHasher.leaf(good[59]!)) });
    expect([audit.time, audit.timedAt]).toEqual([last.time, 59]);
  });

  it('finds what reading every entry finds, with any byte of any entry changed, taken out or put in', () => {
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.nat(400),
        fc.nat(255),
        fc.constantFrom('change', 'out', 'in'),
        (which, where, by, how) => {
          const entry = good[which]!;
          const at = where % entry.length;
          const rest = [...entry.subarray(at + (how === 'in' ? 0 : 1))];
          const changed = [...entry.subarray(0, at), ...(how === 'out' ? [] : [how === 'in' ? by : entry[at]! ^ by])];
          const entries = good.with(which, Uint8Array.from([...changed, ...rest]));
          const { wrong, audit } = audited(entries);
          expect(wrong).toEqual(byReading(entries, ORIGIN));
          expect(audit.verified).toBe(60 - new Set(wrong.map((each) => each.split(' ')[0])).size);
        },
      ),
      { numRuns: examples(1500) },
    );
  });

  it.each<[string, Partial<Entry>]>([
    ['another log', { log: 'other.example/log' }],
    ['another chain', { chain: 'f47ac10b-58cc-4372-a567-0e02b2c3d479' }],
    ['a time before', { time: '2025-12-31T23:59:00Z' }],
    ['a time far behind, which is none', { time: '2026-01-02T00:00:00Z' }],
    ['a seq too many', { seq: 9 }],
    ['the largest seq', { seq: Number.MAX_SAFE_INTEGER }],
    ['another prev', { prev: new Uint8Array(32).fill(1) }],
  ])('finds what reading finds with %s', (_, over) => {
    const entry = entryOfChain(3, 8, decodeEntry(good[59]!).prev, 59, over);
    const entries = good.with(59, entry);
    expect(audited(entries).wrong).toEqual(byReading(entries, ORIGIN));
  });

  it.each(['', 'a b', 'other.example/log', 'x+y'])('takes no entry for one of a log %j', (origin) => {
    expect(audited(good, origin).wrong.slice(0, 50)).toEqual(byReading(good, origin).slice(0, 50));
  });
});

describe('a rebuilt tree', () => {
  it('has the roots and the tiles of a growing one at every size', () => {
    const tree = new RebuiltTree();
    const grown = new GrowingTree(nodeHasher);
    const levels: Uint8Array[][] = [[], [], []];
    const full: { level: number; index: number; hashes: Buffer }[] = [];
    expect(tree.root()).toEqual(Buffer.from(grown.root()));
    for (let index = 0; index < 66_000; index++) {
      const leaf = nodeHasher.sha256(`leaf ${index}`);
      expect(tree.append(toBase64(leaf))).toBe(grown.append(leaf));
      if (index < 600 || index % 997 === 0 || index % 256 < 2)
        if (!tree.root().equals(grown.root())) throw new Error(`another root at ${index + 1}`);
      if (index % 1024 !== 1023 && index !== 65_999) continue;
      for (const [level, hashes] of levels.entries()) hashes.push(...grown.completed(level * 8).hashes);
      grown.settle();
      full.push(...tree.takeFullTiles());
    }
    expect(full.length).toBe(257 + 1);
    for (const { level, index, hashes } of full)
      expect(hashes.equals(Buffer.concat(levels[level]!.slice(index * 256, index * 256 + 256)))).toBe(true);
    expect(tree.partialTiles().map(({ level, index, hashes }) => [level, index, hashes.length / 32])).toEqual([
      [0, 257, 66_000 % 256],
      [1, 1, 1],
      [2, 0, 1],
    ]);
    for (const { level, index, hashes } of tree.partialTiles())
      expect(hashes.equals(Buffer.concat(levels[level]!.slice(index * 256)))).toBe(true);
  });
});
