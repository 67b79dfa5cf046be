import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryOfChain, goodEntries, ORIGIN } from '../../../test/support/made-log.js';
import { decodeEntry, type Entry, ZERO32 } from '../../ledger/core/record/entry.js';
import { nodeHasher } from '../../ledger/crypto/node-hasher.js';
import { type ChainEnd, type Rule, violationOf } from './entry-rules.js';

/** Follows entries from the first on. @returns where the first one breaks a rule, and which; null: none does */
function firstViolation(entries: readonly (Entry | null)[], leaves: readonly Uint8Array[]) {
  const ends = new Map<string, ChainEnd>();
  let time = '';
  for (const [index, entry] of entries.entries()) {
    const violation = violationOf(ORIGIN, { size: index, time }, entry ? ends.get(entry.chain) : undefined, entry);
    if (violation || !entry) return { index, ...violation };
    ends.set(entry.chain, { seq: entry.seq, leaf: leaves[index]!, index });
    time = entry.time;
  }
  return null;
}
const follow = (bytes: readonly Uint8Array[]) =>
  firstViolation(
    bytes.map((one) => decodeEntry(one)),
    bytes.map((one) => nodeHasher.leaf(one)),
  );
const log = fc
  .record({ size: fc.integer({ min: 2, max: 300 }), chains: fc.integer({ min: 1, max: 40 }) })
  .map(({ size, chains }) => [...goodEntries(size, chains)]);

describe('what may follow in a log', () => {
  it('is every entry of a good log', () => {
    fc.assert(
      fc.property(log, (entries) => {
        expect(follow(entries)).toBeNull();
      }),
    );
  });

  it('is not a log with one entry left out, unless a chain ends there', () => {
    fc.assert(
      fc.property(log, fc.nat(), (entries, some) => {
        const at = some % entries.length;
        const { chain } = decodeEntry(entries[at]!);
        const left = entries.toSpliced(at, 1);
        const next = left.findIndex((one, index) => index >= at && decodeEntry(one).chain === chain);
        const found = follow(left);
        if (next < 0) expect(found).toBeNull();
        else expect(found).toMatchObject({ index: next, rule: decodeEntry(entries[at]!).seq === 0 ? 'first' : 'gap' });
      }),
    );
  });

  it('is no entry a second time', () => {
    fc.assert(
      fc.property(log, fc.nat(), (entries, some) => {
        const copy = entries[some % entries.length]!;
        const { rule, index } = follow([...entries, copy]) ?? {};
        expect(index).toBe(entries.length);
        expect(['again', 'time']).toContain(rule);
      }),
    );
  });

  it('is nothing that stands at two places of one chain that have changed places', () => {
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(), (entries, a, b) => {
        const [one, two] = [a % entries.length, b % entries.length];
        fc.pre(one !== two && decodeEntry(entries[one]!).chain === decodeEntry(entries[two]!).chain);
        const swapped = entries.with(one, entries[two]!).with(two, entries[one]!);
        expect(follow(swapped)?.index).toBe(Math.min(one, two));
      }),
    );
  });

  const end: ChainEnd = { seq: 4, leaf: new Uint8Array(32).fill(9), index: 70 };
  const time = '2026-01-01T00:01:00Z';
  const good = decodeEntry(entryOfChain(1, 5, end.leaf, 100));
  const cases: [
    what: string,
    entry: Entry | null,
    chain: ChainEnd | undefined,
    rule: Rule | null,
    against: number | null,
  ][] = [
    ['the next of its chain', good, end, null, null],
    ['no entry', null, end, 'form', null],
    ['of another log', { ...good, log: 'other.example' }, end, 'log', null],
    ['an earlier time', { ...good, time: '2026-01-01T00:00:00Z' }, end, 'time', 99],
    ['the same time', { ...good, time }, end, null, null],
    ['a chain without beginning', good, undefined, 'first', null],
    ['a new chain', { ...good, seq: 0, prev: ZERO32 }, undefined, null, null],
    ['the same seq', { ...good, seq: 4 }, end, 'again', 70],
    ['a chain that begins again', { ...good, seq: 0, prev: ZERO32 }, end, 'again', 70],
    ['a seq left out', { ...good, seq: 6 }, end, 'gap', 70],
    ['another prev', { ...good, prev: new Uint8Array(32).fill(8) }, end, 'link', 70],
  ];
  it.each(cases)('%s', (_, entry, chain, rule, against) => {
    expect(violationOf(ORIGIN, { size: 100, time }, chain, entry)).toEqual(rule && { rule, against });
  });
});
