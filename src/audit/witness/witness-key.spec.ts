import { describe, expect, it } from 'vitest';
import { readFixture } from '../../../test/fixtures/rfc6962/vectors.js';
import { fromHex } from '../../ledger/core/bytes.js';
import { ed25519Signer, NoteError, openNote, parseVerifierKey, signNote } from '../../ledger/core/tlog/note.js';
import { WitnessKey } from './witness-key.js';

interface NoteVector {
  name: string;
  type: 1 | 4;
  seedHex: string;
  vkey: string;
  text: string;
  timestamp?: number;
  note: string;
}
const vectors = readFixture<NoteVector[]>('rfc6962/notes.json').filter(({ type }) => type === 4);

describe('a cosignature', () => {
  it.each(vectors.map((vector) => [vector.name, vector] as const))(
    'of %s has the bytes of the vector',
    (name, { seedHex, vkey, text, timestamp, note }) => {
      const key = new WitnessKey(name, fromHex(seedHex));
      expect(key.vkey).toBe(vkey);
      const log = ed25519Signer('log.example', new Uint8Array(32).fill(5));
      const signed = signNote(text, [log]);
      const cosigned = key.cosign(signed, timestamp!);
      const line = cosigned.slice(signed.length);
      expect(note.endsWith(line)).toBe(true);
      expect(line).toMatch(/^— [^\n]+\n$/u);
      expect(openNote(cosigned, [key.verifier]).verified).toEqual([{ key: key.verifier, time: BigInt(timestamp!) }]);
      expect(openNote(cosigned, [key.verifier, parseVerifierKey(log.vkey)]).verified).toHaveLength(2);
    },
  );

  it('is not to be had under a name that names no key', () => {
    expect(() => new WitnessKey('two words', new Uint8Array(32))).toThrow(NoteError);
  });
});
