import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toBase64 } from '../bytes.js';
import { ChainHeadError, chainHeadKeyName, parseChainHeadKey } from './chain-head-note.js';
import {
  BEFORE_ALL,
  formatChainList,
  LAST_OF_ALL,
  parseChainList,
  type SignedChainList,
  verifyChainList,
} from './chain-list-note.js';
import { ed25519Signer, signNote } from '../tlog/note.js';
import { readFixtureText } from '../../../../test/fixtures/rfc6962/vectors.js';

const origin = 'rxledger.example/golden';
const seed = fromHex('202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f');
const signer = ed25519Signer(chainHeadKeyName(origin), seed);
const key = parseChainHeadKey(signer.vkey);
const leaf = (n: number) => new Uint8Array(32).fill(n);
const list: SignedChainList = {
  origin,
  owner: '8d2f6c1e-7a9b-4c3d-8e5f-112233445566',
  after: BEFORE_ALL,
  through: LAST_OF_ALL,
  size: 7,
  chains: [
    { chain: '0b51c1b2-4a0e-4a3c-9d53-4f1c2b3a4d5e', seq: 0, leaf: leaf(1) },
    { chain: 'f47ac10b-58cc-4372-a567-0e02b2c3d479', seq: 4, leaf: leaf(0xfb) },
  ],
};
const text = formatChainList(list);

describe('chain list', () => {
  it('is the text and the note of the golden file, which was written once', () => {
    expect(signNote(text, [signer])).toBe(readFixtureText('golden/chain-list.note'));
    expect(verifyChainList(readFixtureText('golden/chain-list.note'), key)).toEqual({ ok: true, list });
  });

  it('may be empty, and may end at its last chain', () => {
    const empty = { ...list, chains: [], size: 0 };
    expect(parseChainList(formatChainList(empty))).toEqual(empty);
    const page = { ...list, through: list.chains[1]!.chain };
    expect(parseChainList(formatChainList(page))).toEqual(page);
  });

  it('comes back as it went, whatever it says', () => {
    const chains = fc
      .uniqueArray(fc.tuple(fc.uuid(), fc.nat({ max: 1000 }), fc.integer({ min: 0, max: 255 })), {
        selector: ([chain]) => chain,
      })
      .map((all) =>
        all
          .filter(([chain]) => chain !== BEFORE_ALL)
          .map(([chain, seq, n]) => ({ chain, seq, leaf: leaf(n) }))
          .toSorted((a, b) => (a.chain < b.chain ? -1 : 1)),
      );
    fc.assert(
      fc.property(chains, fc.nat(), (all, more) => {
        const said = { ...list, chains: all, size: all.reduce((sum, { seq }) => sum + seq + 1, more) };
        expect(parseChainList(formatChainList(said))).toEqual(said);
      }),
    );
  });

  const lines = text.split('\n');
  const withLine = (at: number, ...line: string[]) => lines.flatMap((old, i) => (i === at ? line : [old])).join('\n');
  const [first, second] = [lines[6]!, lines[7]!];
  it.each<[string, string]>([
    ['another header', withLine(0, 'rxledger/chain-head/v1')],
    ['no origin', withLine(1, '')],
    ['an owner that is no UUID', withLine(2, 'practice')],
    ['an owner in capitals', withLine(2, list.owner.toUpperCase())],
    ['a range without an end', withLine(3, BEFORE_ALL)],
    ['a range of three', withLine(3, `${BEFORE_ALL} ${LAST_OF_ALL} ${LAST_OF_ALL}`)],
    ['a range that is empty', withLine(3, `${LAST_OF_ALL} ${LAST_OF_ALL}`)],
    ['a range that runs backwards', withLine(3, `${LAST_OF_ALL} ${BEFORE_ALL}`)],
    ['a range that begins after the first chain', withLine(3, `${list.chains[0]!.chain} ${LAST_OF_ALL}`)],
    ['a range that ends before the last chain', withLine(3, `${BEFORE_ALL} ${list.chains[0]!.chain}`)],
    ['a size with a leading zero', withLine(4, '07')],
    ['a size below the entries of its chains', withLine(4, '5')],
    ['a count too small', withLine(5, '1')],
    ['a count too large', withLine(5, '3')],
    ['a count in words', withLine(5, 'two')],
    ['a chain twice', withLine(7, first)],
    ['chains out of order', withLine(6, second).replace(`${second}\n${second}`, `${second}\n${first}`)],
    ['a line with too much', withLine(6, `${first} x`)],
    ['a line with two spaces', withLine(6, first.replace(' ', '  '))],
    ['a line with too little', withLine(6, first.split(' ').slice(0, 2).join(' '))],
    ['a seq with a sign', withLine(6, first.replace(' 0 ', ' -0 '))],
    ['a leaf that is short', withLine(6, first.replace(/\S+$/, toBase64(new Uint8Array(31))))],
    ['an empty line', withLine(6, first, '')],
    ['no last newline', text.slice(0, -1)],
    ['nothing', ''],
  ])('is refused with %s', (_, changed) => {
    expect(changed).not.toBe(text);
    expect(() => parseChainList(changed)).toThrow(ChainHeadError);
    if (changed.endsWith('\n')) {
      expect(verifyChainList(signNote(changed, [signer]), key)).toEqual({ ok: false, reason: 'form' });
    }
  });

  it('is read or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...lines), fc.string())), (parts) => {
        try {
          const changed = parts.join('\n');
          expect(formatChainList(parseChainList(changed))).toBe(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(ChainHeadError);
        }
      }),
    );
  });

  it('holds with no line left out, and only by its key', () => {
    const note = signNote(text, [signer]);
    expect(verifyChainList(note.replace(`${first}\n`, ''), key)).toEqual({ ok: false, reason: 'signature' });
    expect(verifyChainList(signNote(text, [ed25519Signer(origin, seed)]), key)).toMatchObject({ ok: false });
    const other = ed25519Signer(chainHeadKeyName('else.example/log'), seed);
    expect(verifyChainList(signNote(text, [other]), parseChainHeadKey(other.vkey))).toEqual({
      ok: false,
      reason: 'log',
    });
  });
});
