import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equal, fromUtf8, toBase64, utf8 } from '../bytes.js';
import { decodeEntry, encodeEntry, type Entry, EntryError, entryTime, LOG_CHAIN, ZERO32 } from './entry.js';
import { jcs } from '../jcs.js';
import { bytes32, orRefused } from '../../../../test/fixtures/rfc6962/vectors.js';
import { examples } from '../../../../test/support/length.js';

const entries: fc.Arbitrary<Entry> = fc
  .record({
    chain: fc.uuid(),
    commitment: bytes32,
    log: fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\p{White_Space}\p{Cc}+]/u.test(text)),
    prev: bytes32.filter((hash) => hash.some((byte) => byte !== 0)),
    seq: fc.maxSafeNat(),
    time: fc.integer({ min: 0, max: 253_402_300_799_999 }).map(entryTime),
  })
  .map((entry) => (entry.seq === 0 ? { ...entry, prev: ZERO32 } : entry));

const first: Entry = {
  chain: '6f6fcf9e-8f3b-4c6e-9a53-1c2d3e4f5a6b',
  commitment: new Uint8Array(32).fill(7),
  log: 'rxledger.example/log',
  prev: ZERO32,
  seq: 0,
  time: '2026-03-10T12:34:00Z',
};

describe('entry', () => {
  it('is canonical JSON with exactly the members of the design', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const { commitment, prev, ...rest } = entry;
        const text = jcs({ ...rest, commitment: toBase64(commitment), prev: toBase64(prev), v: 1 });
        expect(fromUtf8(encodeEntry(entry))).toBe(text);
      }),
    );
  });

  it('comes back', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
      }),
    );
    expect(decodeEntry(encodeEntry({ ...first, chain: LOG_CHAIN })).chain).toBe(LOG_CHAIN);
  });

  it('has one form: one byte changed is refused or another entry', () => {
    fc.assert(
      fc.property(entries, fc.nat(), fc.nat(255), (entry, place, byte) => {
        const bytes = encodeEntry(entry);
        const changed = Uint8Array.from(bytes);
        changed[place % bytes.length] = byte;
        fc.pre(changed[place % bytes.length] !== bytes[place % bytes.length]);
        const read = orRefused(() => decodeEntry(changed), EntryError);
        expect(read === null || equal(encodeEntry(read), changed)).toBe(true);
      }),
      { numRuns: examples(1000) },
    );
  });

  const text = fromUtf8(encodeEntry(first));
  it.each<[string, string]>([
    ['a space', text.replace(',', ', ')],
    ['a member more', text.replace('}', ',"w":1}')],
    ['a member less', text.replace(/"chain":"[^"]*",/, '')],
    ['a member twice', text.replace('"v":1', '"v":1,"v":1')],
    ['another order', `{"v":1,${text.slice(1).replace(',"v":1', '')}`],
    ['another version', text.replace('"v":1', '"v":2')],
    ['an escape for a plain character', text.replace('rxledger', String.raw`\u0072xledger`)],
    ['a lone surrogate', text.replace('rxledger', String.raw`\ud800`)],
    ['a UUID in upper case', text.replace('6f6fcf9e', '6F6FCF9E')],
    ['a chain that is no UUID', text.replace('6f6fcf9e-', '6f6fcf9e')],
    ['a short commitment', text.replace('BwcH', '')],
    ['stray base64 bits', text.replace('AAAA=', 'AAAB=')],
    ['prev that is not zero at seq 0', text.replace('"prev":"AAAA', '"prev":"AAAB')],
    ['prev that is zero later', text.replace('"seq":0', '"seq":1')],
    ['seq 1e0', text.replace('"seq":0', '"seq":1e0')],
    ['seq -0', text.replace('"seq":0', '"seq":-0')],
    ['seq -1', text.replace('"seq":0', '"seq":-1')],
    ['seq beyond safe integers', text.replace('"seq":0', '"seq":9007199254740992')],
    ['seq as text', text.replace('"seq":0', '"seq":"0"')],
    ['seconds', text.replace(':34:00Z', ':34:01Z')],
    ['no seconds', text.replace(':34:00Z', ':34Z')],
    ['another zone', text.replace(':34:00Z', ':34:00+00:00')],
    ['a day that is none', text.replace('03-10', '02-30')],
    ['hour 24', text.replace('T12:34', 'T24:00')],
    ['an empty origin', text.replace('rxledger.example/log', '')],
    ['an origin with a space', text.replace('rxledger.example', 'rxledger example')],
    ['an array', '[]'],
    ['null', 'null'],
    ['no JSON', '{'],
    ['a byte order mark', `\ufeff${text}`],
    ['nothing', ''],
  ])('refuses %s', (_, changed) => {
    expect(changed).not.toBe(text);
    expect(() => decodeEntry(utf8(changed))).toThrow(EntryError);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => decodeEntry(Uint8Array.of(0x22, 0xff, 0x22))).toThrow(EntryError);
  });

  it('is at most 65,535 bytes long', () => {
    const overhead = encodeEntry({ ...first, log: 'x' }).length - 1;
    const longest = { ...first, log: 'x'.repeat(65_535 - overhead) };
    expect(encodeEntry(longest)).toHaveLength(65_535);
    expect(() => encodeEntry({ ...longest, log: `${longest.log}x` })).toThrow(EntryError);
    expect(() => decodeEntry(utf8(fromUtf8(encodeEntry(longest)).replace('xx', 'xxx')))).toThrow(EntryError);
  });

  it('is refused before it is written, too', () => {
    for (const bad of [
      { chain: 'x' },
      { commitment: new Uint8Array(31) },
      { log: 'a+b' },
      { seq: 0.5 },
      { seq: 2 },
      { time: 'now' },
    ]) {
      expect(() => encodeEntry({ ...first, ...bad })).toThrow(EntryError);
    }
  });
});

describe('entry time', () => {
  it('is cut to the minute, never rounded', () => {
    expect(entryTime(Date.parse('2026-03-10T23:59:59.999Z'))).toBe('2026-03-10T23:59:00Z');
    expect(entryTime(Date.parse('2026-03-10T23:59:00.000Z'))).toBe('2026-03-10T23:59:00Z');
  });
  it.each([Number.NaN, Infinity, 1e20, 253_402_300_800_000, -62_167_219_200_001])('refuses %d', (ms) => {
    expect(() => entryTime(ms)).toThrow(EntryError);
  });
});
