import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes32 } from '../../../../test/fixtures/rfc6962/vectors.js';
import { toBase64 } from '../bytes.js';
import { encodeHashes, encodeTlogProof, parseHashes, parseTlogProof, TlogProofError } from './tlog-proof.js';

const hash = new Uint8Array(32).fill(5);
const line = toBase64(hash);
const checkpoint = `rx.example/log\n130\n${line}\n\n— rx.example/log AAAA\n`;
const text = `c2sp.org/tlog-proof@v1\nindex 7\n${line}\n${line}\n\n${checkpoint}`;
const proof = { index: 7, proof: [hash, hash], checkpoint };

describe('tlog-proof', () => {
  it('is the text of the specification', () => {
    expect(encodeTlogProof(proof)).toBe(text);
    expect(parseTlogProof(text)).toEqual(proof);
  });

  it('may carry extra data before the index', () => {
    const extra = new TextEncoder().encode('age-v1.2.1');
    const more = text.replace('\nindex', '\nextra YWdlLXYxLjIuMQ==\nindex');
    expect(encodeTlogProof({ ...proof, extra })).toBe(more);
    expect(parseTlogProof(more)).toEqual({ ...proof, extra });
  });

  it('of the only entry has no hashes', () => {
    const alone = { index: 0, proof: [], checkpoint };
    expect(encodeTlogProof(alone)).toBe(`c2sp.org/tlog-proof@v1\nindex 0\n\n${checkpoint}`);
    expect(parseTlogProof(encodeTlogProof(alone))).toEqual(alone);
  });

  it('comes back', () => {
    const any = fc.record(
      {
        index: fc.maxSafeNat(),
        proof: fc.array(bytes32, { maxLength: 54 }),
        checkpoint: fc.string({ minLength: 1 }),
        extra: fc.uint8Array({ minLength: 1 }),
      },
      { requiredKeys: ['index', 'proof', 'checkpoint'] },
    );
    fc.assert(
      fc.property(any, (one) => {
        expect(parseTlogProof(encodeTlogProof(one))).toEqual(one);
      }),
    );
  });

  it('that is read is written back as it was, whatever was changed in it', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ unit: 'grapheme-ascii', maxLength: 2 }), (at, other) => {
        const changed = text.slice(0, at) + other + text.slice(at + 1);
        try {
          expect(encodeTlogProof(parseTlogProof(changed))).toBe(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(TlogProofError);
        }
      }),
    );
  });

  it.each<[string, string]>([
    ['another header', text.replace('@v1', '@v2')],
    ['a header with a space', text.replace('@v1', '@v1 ')],
    ['a leading zero', text.replace('index 7', 'index 07')],
    ['a sign', text.replace('index 7', 'index +7')],
    ['an index beyond safe integers', text.replace('index 7', 'index 9007199254740992')],
    ['an index of many digits', text.replace('index 7', `index ${'9'.repeat(400)}`)],
    ['no index', text.replace('index 7\n', '')],
    ['two spaces', text.replace('index 7', 'index  7')],
    ['two indexes', text.replace('index 7', 'index 7\nindex 7')],
    ['extra data twice', text.replace('index 7', 'extra AAAA\nextra AAAA\nindex 7')],
    ['extra data that is empty', text.replace('index 7', 'extra \nindex 7')],
    ['extra data after the index', text.replace('index 7', 'index 7\nextra AAAA')],
    ['extra data with stray bits', text.replace('index 7', 'extra AB==\nindex 7')],
    ['a short hash', text.replace(line, line.slice(4))],
    ['a hash with stray bits', text.replace('BQU=', 'BQV=')],
    ['a hash without padding', text.replace('BQU=', 'BQU')],
    ['a carriage return', text.replace(line, `${line}\r`)],
    ['55 hashes', text.replace(line, Array(54).fill(line).join('\n'))],
    ['no empty line', `c2sp.org/tlog-proof@v1\nindex 7\n${line}\n`],
    ['no checkpoint', text.slice(0, text.indexOf('\n\n') + 2)],
    ['nothing', ''],
  ])('is not read with %s', (_, bad) => {
    expect(bad).not.toBe(text);
    expect(() => parseTlogProof(bad)).toThrow(TlogProofError);
  });

  it('is not written with a part out of form', () => {
    for (const bad of [
      { ...proof, index: -1 },
      { ...proof, index: 0.5 },
      { ...proof, index: 2 ** 53 },
      { ...proof, proof: [hash.slice(1)] },
      { ...proof, proof: Array<Uint8Array>(55).fill(hash) },
      { ...proof, checkpoint: '' },
      { ...proof, extra: new Uint8Array() },
    ])
      expect(() => encodeTlogProof(bad)).toThrow(TlogProofError);
  });
});

describe('lines of hashes', () => {
  it('come back', () => {
    fc.assert(
      fc.property(fc.array(bytes32, { maxLength: 54 }), (hashes) => {
        expect(parseHashes(encodeHashes(hashes))).toEqual(hashes);
      }),
    );
    expect(encodeHashes([hash, hash])).toBe(`${line}\n${line}\n`);
    expect(parseHashes('')).toEqual([]);
  });

  it.each(['\n', line, `${line}\n\n`, `\n${line}\n`, `${line}\r\n`, ` ${line}\n`, 'AAAA\n', `${line}\n`.repeat(55)])(
    'are nothing else: %j',
    (bad) => {
      expect(() => parseHashes(bad)).toThrow(TlogProofError);
    },
  );
});
