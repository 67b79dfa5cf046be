import { ed25519 } from '@noble/curves/ed25519.js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toBase64, toHex, utf8 } from '../bytes.js';
import {
  appendSignature,
  cosignedText,
  ed25519Signer,
  formatVerifierKey,
  KEY_TYPE,
  keyId,
  NoteError,
  openNote,
  parseVerifierKey,
  signNote,
} from './note.js';
import { readFixture } from '../../../../test/fixtures/rfc6962/vectors.js';
import { cosign, witnessOf } from '../../../../test/fixtures/witnesses.js';
import { examples } from '../../../../test/support/length.js';

interface NoteVector {
  name: string;
  seedHex: string;
  publicKeyHex: string;
  keyIdHex: string;
  vkey: string;
  type: 1 | 4;
  text: string;
  timestamp?: number;
  signedMessage: string;
  signatureLine: string;
  note: string;
}
const vectors = readFixture<NoteVector[]>('rfc6962/notes.json');
const logs = vectors.filter(({ type }) => type === KEY_TYPE.ed25519);
const witnesses = vectors.filter(({ type }) => type === KEY_TYPE.cosignature);

describe('vectors of signed notes', () => {
  it.each(vectors.map((vector) => [vector.name, vector] as const))(
    'key of %s',
    (name, { type, vkey, publicKeyHex, keyIdHex }) => {
      expect(toHex(keyId(name, type, fromHex(publicKeyHex)))).toBe(keyIdHex);
      expect(formatVerifierKey(name, type, fromHex(publicKeyHex))).toBe(vkey);
      expect(parseVerifierKey(vkey)).toEqual({
        name,
        type,
        keyId: fromHex(keyIdHex),
        publicKey: fromHex(publicKeyHex),
      });
    },
  );

  it.each(logs.map((vector) => [vector.name, vector] as const))('note of %s', (name, { seedHex, vkey, text, note }) => {
    const signer = ed25519Signer(name, fromHex(seedHex));
    expect(signer.vkey).toBe(vkey);
    expect(signNote(text, [signer])).toBe(note);
    const opened = openNote(note, [parseVerifierKey(vkey)]);
    expect(opened).toEqual({ text, verified: [{ key: parseVerifierKey(vkey) }], ignored: 0 });
  });

  it.each(witnesses.map((vector) => [vector.name, vector] as const))('cosignature of %s', (name, vector) => {
    const { seedHex, keyIdHex, vkey, text, timestamp, signedMessage, note } = vector;
    const key = parseVerifierKey(vkey);
    const time = BigInt(timestamp ?? 0);
    expect(cosignedText(text, time)).toBe(signedMessage);
    expect(openNote(note, [key])).toEqual({ text, verified: [{ key, time }], ignored: 1 });
    const log = logs.find((other) => other.text === text)!;
    expect(openNote(note, [key, parseVerifierKey(log.vkey)]).verified).toHaveLength(2);
    const blob = new Uint8Array(8);
    new DataView(blob.buffer).setBigUint64(0, time);
    const signature = ed25519Signer(name, fromHex(seedHex)).sign(utf8(signedMessage));
    expect(appendSignature(log.note, { name, keyId: fromHex(keyIdHex) }, concat(blob, signature))).toBe(note);
  });
});

it.each<[bigint, boolean]>([
  [0n, true],
  [2n ** 63n - 1n, true],
  [2n ** 63n, false],
  [2n ** 64n - 1n, false],
])('a cosignature of second %i holds: %s (C2SP tlog-cosignature)', (time, holds) => {
  const one = witnessOf(1);
  const log = ed25519Signer('log.example', new Uint8Array(32).fill(1));
  const note = cosign(signNote('log.example\n1\nAAAA\n', [log]), one, time);
  const keys = [log.vkey, one.vkey].map(parseVerifierKey);
  if (holds) expect(openNote(note, keys).verified).toHaveLength(2);
  else expect(() => openNote(note, keys)).toThrow(NoteError);
});

describe('verifier keys', () => {
  const { name, vkey, publicKeyHex } = logs[0]!;
  it('may hold a plus in their base64', () => {
    const many = Array.from({ length: 50 }, (_, at) => ed25519Signer('a', new Uint8Array(32).fill(at)).vkey);
    const withPlus = many.filter((text) => text.split('+').length > 3);
    expect(withPlus.length).toBeGreaterThan(0);
    for (const text of withPlus) expect(formatVerifierKey('a', 1, parseVerifierKey(text).publicKey)).toBe(text);
  });
  it.each([
    '',
    'a',
    'a+b',
    vkey.replace('9f2d69ef', '9F2D69EF'),
    vkey.replace('9f2d69ef', '9f2d69ee'),
    vkey.replace(name, ''),
    vkey.replace(name, 'example.com/rx ledger'),
    vkey.replace(name, 'example.com/other'),
    `${vkey}=`,
    `${vkey}\n`,
    vkey.slice(0, -4),
    formatVerifierKey(name, 1, fromHex(publicKeyHex)).replace('+Aa', '+Aq'),
  ])('are not %j', (text) => {
    expect(() => parseVerifierKey(text)).toThrow(NoteError);
  });
  it('are not written for a name that no key may have', () => {
    for (const bad of ['', 'a b', 'a+b', 'a\u00a0b', 'a\nb', 'a\u2003b', '\ud800']) {
      expect(() => formatVerifierKey(bad, 1, fromHex(publicKeyHex))).toThrow(NoteError);
    }
  });
});

describe('opening a note', () => {
  const a = ed25519Signer('a.example', new Uint8Array(32).fill(1));
  const b = ed25519Signer('b.example', new Uint8Array(32).fill(2));
  const [keyA, keyB] = [parseVerifierKey(a.vkey), parseVerifierKey(b.vkey)];
  const text = 'origin\n7\n\nroot\n';
  const note = signNote(text, [a, b]);

  it('ignores keys that it does not know, and needs one that it knows', () => {
    expect(openNote(note, [keyA])).toEqual({ text, verified: [{ key: keyA }], ignored: 1 });
    expect(openNote(note, [keyB, keyA]).verified).toEqual([{ key: keyA }, { key: keyB }]);
    expect(() => openNote(note, [])).toThrow(NoteError);
    expect(() => openNote(signNote(text, [a]), [keyB])).toThrow(NoteError);
  });

  it('ignores a line with a known name and another key id', () => {
    const odd = appendSignature(note, { name: 'a.example', keyId: Uint8Array.of(1, 2, 3, 4) }, new Uint8Array(64));
    expect(openNote(odd, [keyA]).ignored).toBe(2);
  });

  it('rejects a bad signature of a known key beside a good one, and counts a key once', () => {
    const bad = appendSignature(signNote(text, [a]), b, new Uint8Array(64));
    expect(() => openNote(bad, [keyA, keyB])).toThrow(NoteError);
    expect(openNote(bad, [keyA]).ignored).toBe(1);
    expect(openNote(signNote(text, [a, a]), [keyA]).verified).toHaveLength(1);
    expect(() => openNote(appendSignature(signNote(text, [a]), a, new Uint8Array(64)), [keyA])).toThrow(NoteError);
  });

  it('rejects two known keys that cannot be told apart', () => {
    expect(() => openNote(note, [keyA, { ...keyA }])).toThrow(NoteError);
  });

  it('takes a cosignature for no plain signature, and the other way round', () => {
    const cosigner = { ...keyA, type: KEY_TYPE.cosignature };
    expect(() => openNote(note, [cosigner])).toThrow(NoteError);
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['no signatures', text],
    ['an empty signature block', `${text}\n`],
    ['no last newline', note.slice(0, -1)],
    ['a hyphen for the dash', note.replaceAll('—', '-')],
    ['two spaces', note.replace('— a.example ', '— a.example  ')],
    ['a carriage return', note.replace('7\n', '7\r\n')],
    ['a tab', note.replace('7\n', '7\t\n')],
    ['a malformed line of an unknown key', `${note}— c.example AAAA\n`],
    ['base64 with stray bits', `${note}— c.example AAAAAAB=\n`],
    ['a line that is no signature', `${note}hello\n`],
    ['too many signatures', note + '— c.example AAAAAAA=\n'.repeat(99)],
    ['a lone surrogate', note.replace('root', '\ud800')],
  ])('rejects %s', (_, bad) => {
    expect(() => openNote(bad, [keyA])).toThrow(NoteError);
  });

  it('never accepts a note that was changed in the text or in the only line of a known key', () => {
    const single = utf8(signNote(text, [a]));
    fc.assert(
      fc.property(fc.nat(single.length - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
        const changed = Uint8Array.from(single);
        changed[place]! ^= flip;
        let read: string;
        try {
          read = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(changed);
        } catch {
          return;
        }
        expect(() => openNote(read, [keyA])).toThrow(NoteError);
      }),
      { numRuns: examples(500) },
    );
  });

  it('never accepts a note with characters put in or taken out', () => {
    const single = signNote(text, [a]);
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 3 }),
      fc.constantFrom('\n', '\n\n', ' ', '=', '—', '\ufffd', '\ud800'),
    );
    fc.assert(
      fc.property(fc.nat(single.length), fc.nat(3), piece, (place, cut, put) => {
        const changed = single.slice(0, place) + put + single.slice(place + cut);
        fc.pre(changed !== single);
        expect(() => openNote(changed, [keyA])).toThrow(NoteError);
      }),
      { numRuns: examples(500) },
    );
  });

  it('does not accept a signature whose scalar is not reduced (RFC 8032 section 5.1.7)', () => {
    const signature = a.sign(utf8(text));
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    let scalar = order;
    for (let at = 0; at < 32; at++) scalar += BigInt(signature[32 + at]!) << BigInt(8 * at);
    const forged = Uint8Array.from(signature);
    for (let at = 0; at < 32; at++) forged[32 + at] = Number((scalar >> BigInt(8 * at)) & 0xffn);
    const line = `— a.example ${toBase64(concat(a.keyId, forged))}\n`;
    expect(() => openNote(`${text}\n${line}`, [keyA])).toThrow(NoteError);
  });

  it('does not accept a public key of small order, under which one signature fits every text', () => {
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    expect(ed25519.verify(concat(identity, new Uint8Array(32)), utf8(text), identity, { zip215: true })).toBe(true);
    for (const type of [KEY_TYPE.ed25519, KEY_TYPE.cosignature])
      expect(() => parseVerifierKey(formatVerifierKey('a.example', type, identity))).toThrow(NoteError);
  });
});

describe('signing a note', () => {
  const a = ed25519Signer('a.example', new Uint8Array(32).fill(1));
  it('refuses a text that no note may hold', () => {
    for (const bad of ['', 'a', 'a\u0000\n', 'a\t\n', '\ud800\n']) expect(() => signNote(bad, [a])).toThrow(NoteError);
    expect(() => signNote('a\n', [])).toThrow(NoteError);
    expect(() => appendSignature('a\n', a, new Uint8Array(64))).toThrow(NoteError);
  });
});
