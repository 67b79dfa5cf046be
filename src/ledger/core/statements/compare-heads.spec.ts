import { describe, expect, it } from 'vitest';
import type { SignedChainHead } from './chain-head-note.js';
import { compareWithHead, type Comparison } from './compare-heads.js';
import { encodeEntry, type Entry } from '../record/entry.js';
import { nobleHasher } from '../hasher.js';

const log = 'rx.example/log';
const chain = '6f6fcf9e-8f3b-4c6e-9a53-1c2d3e4f5a6b';
const entry: Entry = {
  chain,
  commitment: new Uint8Array(32).fill(1),
  log,
  prev: new Uint8Array(32).fill(2),
  seq: 3,
  time: '2026-03-10T12:34:00Z',
};
const leaf = nobleHasher.leaf(encodeEntry(entry));
const other = new Uint8Array(32).fill(9);
/** Seq 3 of its chain, at index 10 of the log. */
const receipt = { entry, index: 10 };
const head = (over: Partial<SignedChainHead> = {}): SignedChainHead => ({
  origin: log,
  chain,
  seq: 3,
  leaf,
  size: 11,
  ...over,
});

describe('a receipt and a chain head', () => {
  it.each<[string, Comparison, SignedChainHead]>([
    ['that is its entry', 'agrees', head()],
    ['that is a later entry', 'agrees', head({ seq: 4, leaf: other, size: 40 })],
    ['that leaves it out', 'withheld', head({ seq: 2, leaf: other })],
    ['that leaves it out much later', 'withheld', head({ seq: 0, leaf: other, size: 1000 })],
    ['that was signed before', 'older', head({ seq: 2, leaf: other, size: 10 })],
    ['that has another entry in its place', 'differs', head({ leaf: other })],
    ['that had an entry in its place before', 'differs', head({ leaf: other, size: 10 })],
    ['that had more entries before', 'differs', head({ seq: 4, leaf: other, size: 10 })],
    ['of another chain', 'unrelated', head({ chain: '0b51c1b2-4a0e-4a3c-9d53-4f1c2b3a4d5e', seq: 0 })],
    ['of another log', 'unrelated', head({ origin: 'else.example/log', seq: 0 })],
  ])('%s: %s', (_, expected, signed) => {
    expect(compareWithHead(receipt, signed)).toBe(expected);
  });
});
