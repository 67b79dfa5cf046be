import { createHash, createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64, utf8 } from '../core/bytes.js';
import { nobleHasher } from '../core/hasher.js';
import { nodeHasher } from './node-hasher.js';
import { examples } from '../../../test/support/length.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const sizes = fc.oneof(
  { weight: 9, arbitrary: fc.nat(600) },
  fc.constantFrom(21_845, 21_846, 65_535, 65_536, 65_537, 70_000),
);
const bytes = fc
  .tuple(sizes, fc.nat(255))
  .map(([length, seed]) => Uint8Array.from({ length }, (_, at) => (at * 31 + seed) % 256));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const key = fc.oneof({ weight: 3, arbitrary: hash }, fc.uint8Array({ maxLength: 130, size: 'max' }));
const text = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: 'grapheme', maxLength: 300, size: 'max' }) },
  fc.nat(70_000).map((length) => '€'.repeat(length)),
);

// Entries, nodes and keys come in any order: bytes that an earlier call left in a prepared buffer must have no effect.
describe('the hasher on node:crypto and the portable one', () => {
  it('agree on leaves', () => {
    fc.assert(
      fc.property(bytes, (entry) => {
        expect(hex(nodeHasher.leaf(entry))).toBe(hex(nobleHasher.leaf(entry)));
      }),
      { numRuns: examples(300) },
    );
  });
  it('agree on nodes', () => {
    fc.assert(
      fc.property(hash, hash, (l, r) => {
        expect(hex(nodeHasher.node(l, r))).toBe(hex(nobleHasher.node(l, r)));
      }),
    );
  });
  it('agree on HMAC over bytes', () => {
    fc.assert(
      fc.property(key, bytes, (k, data) => {
        expect(hex(nodeHasher.hmac(k, data))).toBe(hex(nobleHasher.hmac(k, data)));
      }),
      { numRuns: examples(300) },
    );
  });
  it('agree on HMAC over text, which stands for its UTF-8 bytes', () => {
    fc.assert(
      fc.property(key, text, (k, data) => {
        expect(hex(nodeHasher.hmac(k, data))).toBe(hex(nobleHasher.hmac(k, data)));
        expect(hex(nodeHasher.hmac(k, data))).toBe(hex(nobleHasher.hmac(k, utf8(data))));
      }),
      { numRuns: examples(300) },
    );
  });
  it('agree on SHA-256 of text', () => {
    fc.assert(
      fc.property(text, (data) => {
        expect(hex(nodeHasher.sha256(data))).toBe(hex(nobleHasher.sha256(data)));
      }),
    );
  });
  it('agree on HMAC under a derived key', () => {
    fc.assert(
      fc.property(key, text, text, (k, label, data) => {
        const expected = toBase64(nobleHasher.hmac(nobleHasher.hmac(k, label), data));
        expect(nodeHasher.derivedHmac(k, label, data)).toBe(expected);
        expect(nobleHasher.derivedHmac(k, label, data)).toBe(expected);
      }),
      { numRuns: examples(200) },
    );
  });
  it('are SHA-256 with the prefixes of RFC 6962, and HMAC as node:crypto has it', () => {
    fc.assert(
      fc.property(hash, hash, (a, b) => {
        expect(hex(nobleHasher.leaf(a))).toBe(
          hex(
            createHash('sha256')
              .update(Buffer.concat([Buffer.of(0), a]))
              .digest(),
          ),
        );
        expect(hex(nobleHasher.node(a, b))).toBe(
          hex(
            createHash('sha256')
              .update(Buffer.concat([Buffer.of(1), a, b]))
              .digest(),
          ),
        );
        expect(hex(nobleHasher.hmac(a, b))).toBe(hex(createHmac('sha256', a).update(b).digest()));
      }),
    );
  });
  it('give hashes of their own, that the next call leaves alone', () => {
    const first = nodeHasher.leaf(Uint8Array.of(1));
    const copy = Buffer.from(first);
    nodeHasher.leaf(Uint8Array.of(2));
    nodeHasher.hmac(first, 'x');
    expect(first).toEqual(copy);
  });
});
