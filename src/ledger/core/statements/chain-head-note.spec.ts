import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toBase64 } from '../bytes.js';
import {
  ChainHeadError,
  chainHeadKeyName,
  formatChainHead,
  parseChainHead,
  parseChainHeadKey,
  type SignedChainHead,
  verifyChainHead,
} from './chain-head-note.js';
import { formatCheckpoint } from '../tlog/checkpoint.js';
import { ed25519Signer, formatVerifierKey, KEY_TYPE, NoteError, parseVerifierKey, signNote } from '../tlog/note.js';
import { readFixtureText } from '../../../../test/fixtures/rfc6962/vectors.js';
import { witnessOf } from '../../../../test/fixtures/witnesses.js';

const origin = 'rxledger.example/golden';
const seed = fromHex('202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f');
const signer = ed25519Signer(chainHeadKeyName(origin), seed);
const key = parseChainHeadKey(signer.vkey);
const head: SignedChainHead = {
  origin,
  chain: 'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  seq: 1,
  leaf: new Uint8Array(32).fill(0xfb),
  size: 3,
};
const text = formatChainHead(head);

describe('chain head', () => {
  it('is the text and the note of the golden file, which was written once', () => {
    expect(signNote(text, [signer])).toBe(readFixtureText('golden/chain-head.note'));
    expect(signer.vkey).toBe(readFixtureText('golden/chain-head-vkey.txt'));
    expect(verifyChainHead(readFixtureText('golden/chain-head.note'), key)).toEqual({ ok: true, head });
  });

  it('comes back as it went, whatever it says', () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.nat(),
        fc.nat(),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (chain, seq, more, leaf) => {
          const said = { origin, chain, seq, leaf, size: seq + 1 + more };
          expect(parseChainHead(formatChainHead(said))).toEqual(said);
        },
      ),
    );
  });

  const lines = text.split('\n');
  const withLine = (at: number, line: string) => lines.map((old, index) => (index === at ? line : old)).join('\n');
  const broken: [string, string][] = [
    ['another header', withLine(0, 'rxledger/chain-head/v2')],
    ['no origin', withLine(1, '')],
    ['an origin with a space', withLine(1, 'a b')],
    ['a chain in capitals', withLine(2, head.chain.toUpperCase())],
    ['a chain that is no UUID', withLine(2, 'chain')],
    ['a seq with a leading zero', withLine(3, '01')],
    ['a seq with a sign', withLine(3, '+1')],
    ['a negative seq', withLine(3, '-1')],
    ['a seq beyond the log', withLine(3, '3')],
    ['an empty seq', withLine(3, '')],
    ['a leaf that is short', withLine(4, toBase64(new Uint8Array(31)))],
    ['a leaf in loose base64', withLine(4, lines[4]!.replace('=', ''))],
    ['a leaf with stray bits', withLine(4, `${lines[4]!.slice(0, -2)}9=`)],
    ['a size that is no safe integer', withLine(5, '9007199254740993')],
    ['a size in other digits', withLine(5, '٣')],
    ['a line more', `${text}more\n`],
    ['a line less', `${lines.slice(0, 5).join('\n')}\n`],
    ['no last newline', text.slice(0, -1)],
    ['nothing', ''],
  ];
  it.each(broken)('is refused with %s', (_, changed) => {
    expect(() => parseChainHead(changed)).toThrow(ChainHeadError);
    if (changed.endsWith('\n') && changed !== '\n') {
      expect(verifyChainHead(signNote(changed, [signer]), key)).toEqual({ ok: false, reason: 'form' });
    }
  });

  it('is read or refused, whatever the text', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...lines), fc.string())), (parts) => {
        try {
          const changed = parts.join('\n');
          expect(formatChainHead(parseChainHead(changed))).toBe(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(ChainHeadError);
        }
      }),
    );
  });

  it('is not formed of what it may not hold', () => {
    for (const wrong of [{ seq: -1 }, { seq: 3 }, { size: 0 }, { leaf: new Uint8Array(31) }, { chain: 'x' }]) {
      expect(() => formatChainHead({ ...head, ...wrong })).toThrow(ChainHeadError);
    }
  });

  it('holds only by its own key, and of its own log', () => {
    const note = signNote(text, [signer]);
    const logKey = ed25519Signer(origin, seed);
    const others = ed25519Signer(chainHeadKeyName('else.example/log'), seed);
    expect(verifyChainHead(signNote(text, [logKey]), key)).toEqual({ ok: false, reason: 'signature' });
    expect(verifyChainHead(signNote(text, [others]), key)).toEqual({ ok: false, reason: 'signature' });
    expect(verifyChainHead(note.replace('\n1\n', '\n0\n'), key)).toEqual({ ok: false, reason: 'signature' });
    expect(verifyChainHead('', key)).toEqual({ ok: false, reason: 'signature' });
    expect(verifyChainHead(signNote(text, [others]), parseChainHeadKey(others.vkey))).toEqual({
      ok: false,
      reason: 'log',
    });
    const checkpoint = formatCheckpoint({ origin, size: 3, root: head.leaf });
    expect(verifyChainHead(signNote(checkpoint, [signer]), key)).toEqual({ ok: false, reason: 'form' });
  });

  it('holds with no bit of its note changed', () => {
    const note = new TextEncoder().encode(signNote(text, [signer]));
    for (let at = 0; at < note.length; at++) {
      const flipped = Uint8Array.from(note);
      flipped[at]! ^= 1;
      expect(verifyChainHead(new TextDecoder().decode(flipped), key).ok).toBe(false);
    }
  });

  it.each<[string, string, new (message: string) => Error]>([
    ['a log', ed25519Signer(origin, seed).vkey, ChainHeadError],
    ['a witness', witnessOf(1, chainHeadKeyName(origin)).vkey, ChainHeadError],
    [
      'no origin',
      formatVerifierKey('/chain-heads', KEY_TYPE.ed25519, parseVerifierKey(signer.vkey).publicKey),
      ChainHeadError,
    ],
    ['nothing', 'nonsense', NoteError],
  ])('has a key of its own, which that of %s is not', (_, vkey, error) => {
    expect(() => parseChainHeadKey(vkey)).toThrow(error);
  });
});
