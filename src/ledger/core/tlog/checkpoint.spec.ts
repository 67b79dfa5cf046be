import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../bytes.js';
import { CheckpointError, formatCheckpoint, openCheckpoint, parseCheckpoint } from './checkpoint.js';
import { KEY_TYPE, ed25519Signer, formatVerifierKey, NoteError, parseVerifierKey, signNote } from './note.js';
import { bytes32, readFixture } from '../../../../test/fixtures/rfc6962/vectors.js';

const root = new Uint8Array(32).fill(5);
const text = `rx.example/log\n130\n${toBase64(root)}\n`;
const signer = ed25519Signer('rx.example/log', new Uint8Array(32).fill(9));

describe('checkpoint', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), bytes32, (size, hash) => {
        const checkpoint = { origin: 'rx.example/log', size, root: hash };
        expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual({ ...checkpoint, extensions: [] });
      }),
    );
    expect(formatCheckpoint({ origin: 'rx.example/log', size: 130, root })).toBe(text);
  });

  it('hands out extension lines', () => {
    expect(parseCheckpoint(`${text}one\ntwo three\n`).extensions).toEqual(['one', 'two three']);
  });

  it.each<[string, string]>([
    ['a leading zero', text.replace('130', '0130')],
    ['a sign', text.replace('130', '+130')],
    ['a fraction', text.replace('130', '130.0')],
    ['an exponent', text.replace('130', '1e2')],
    ['a space', text.replace('130', '130 ')],
    ['no size', text.replace('130', '')],
    ['a size beyond safe integers', text.replace('130', '9007199254740992')],
    ['a size of many digits', text.replace('130', '9'.repeat(400))],
    ['a short root', text.replace('BQUF', '')],
    ['stray base64 bits', text.replace('BQU=', 'BQV=')],
    ['no last newline', text.slice(0, -1)],
    ['an empty extension line', `${text}\n`],
    ['an empty origin', text.replace('rx.example/log', '')],
    ['two lines', 'rx.example/log\n130\n'],
    ['nothing', ''],
  ])('is not read with %s', (_, bad) => {
    expect(bad).not.toBe(text);
    expect(() => parseCheckpoint(bad)).toThrow(CheckpointError);
  });

  it('is not written with a part out of form', () => {
    for (const bad of [
      { origin: 'a b' },
      { origin: '' },
      { size: -1 },
      { size: 2 ** 53 },
      { root: new Uint8Array(31) },
    ]) {
      expect(() => formatCheckpoint({ origin: 'rx.example/log', size: 1, root, ...bad })).toThrow(CheckpointError);
    }
  });
});

describe('opening a signed checkpoint', () => {
  it('gives those of the vectors', () => {
    const notes = readFixture<{ type: number; vkey: string; text: string; note: string }[]>('rfc6962/notes.json');
    for (const { vkey, note, text: signed } of notes.filter(({ type }) => type === 1)) {
      const [origin, size] = signed.split('\n');
      expect(openCheckpoint(note, vkey)).toMatchObject({ origin, size: Number(size) });
      expect(formatCheckpoint(openCheckpoint(note, parseVerifierKey(vkey)))).toBe(signed);
    }
  });

  it('refuses another origin, extension lines, another key and a cosigner', () => {
    expect(openCheckpoint(signNote(text, [signer]), signer.vkey)).toEqual({
      origin: 'rx.example/log',
      size: 130,
      root,
    });
    const open = (signed: string, vkey = signer.vkey) => openCheckpoint(signNote(signed, [signer]), vkey);
    expect(() => open(text.replace('rx.example', 'ry.example'))).toThrow(CheckpointError);
    expect(() => open(`${text}extension\n`)).toThrow(CheckpointError);
    expect(() => open(text, ed25519Signer('rx.example/log', new Uint8Array(32)).vkey)).toThrow(NoteError);
    const { name, publicKey } = parseVerifierKey(signer.vkey);
    expect(() => open(text, formatVerifierKey(name, KEY_TYPE.cosignature, publicKey))).toThrow(CheckpointError);
  });
});
