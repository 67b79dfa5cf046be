import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Receipt } from '../model.js';
import { fromBase64, toBase64, utf8 } from './bytes.js';
import { formatCheckpoint } from './checkpoint.js';
import { commit } from './commitment.js';
import { encodeEntry, type Entry, ZERO32 } from './entry.js';
import { nobleHasher } from './hasher.js';
import { jcs } from './jcs.js';
import { GrowingTree } from './merkle.js';
import { ed25519Signer, NoteError, signNote } from './note.js';
import { verifyReceipt } from './receipt.js';
import { someHashes } from '../../../test/fixtures/rfc6962/vectors.js';

const log = 'rx.example/log';
const signer = ed25519Signer(log, new Uint8Array(32).fill(3));
const salt = new Uint8Array(32).fill(4);
const payload = { data: { drug: '314076' }, kind: 'prescription', type: 'order.issued/1' };
const entry: Entry = {
  chain: '6f6fcf9e-8f3b-4c6e-9a53-1c2d3e4f5a6b',
  commitment: commit(nobleHasher, salt, payload).commitment,
  log,
  prev: ZERO32,
  seq: 0,
  time: '2026-03-10T12:34:00Z',
};

/** A receipt for `bytes` at index 5 of 9. */
function receiptOf(bytes: Uint8Array, by = signer, origin = log): Receipt {
  const tree = new GrowingTree(nobleHasher);
  const others = someHashes(9);
  for (const [at, other] of others.entries()) tree.append(at === 5 ? nobleHasher.leaf(bytes) : other);
  return {
    v: 1,
    log,
    index: 5,
    entry: toBase64(bytes),
    proof: tree.inclusion(5).map(toBase64),
    checkpoint: signNote(formatCheckpoint({ origin, size: 9, root: tree.root() }), [by]),
  };
}

const bare = receiptOf(encodeEntry(entry));
const full = { ...bare, payload: toBase64(utf8(jcs(payload))), salt: toBase64(salt) };

describe('receipt', () => {
  it('holds without the payload and with it', () => {
    expect(verifyReceipt(bare, signer.vkey)).toEqual({ ok: true, entry, index: 5, size: 9 });
    expect(verifyReceipt(full, signer.vkey)).toEqual({ ok: true, entry, index: 5, size: 9, payload });
  });

  const foreign = ed25519Signer('other.example/log', new Uint8Array(32).fill(3));
  it.each<[string, string, Receipt]>([
    ['another key', 'checkpoint', receiptOf(encodeEntry(entry), ed25519Signer(log, new Uint8Array(32)))],
    ['another origin', 'checkpoint', receiptOf(encodeEntry(entry), signer, 'other.example/log')],
    ['a checkpoint of another log', 'checkpoint', receiptOf(encodeEntry(entry), foreign, 'other.example/log')],
    ['no checkpoint', 'checkpoint', { ...bare, checkpoint: '' }],
    ['another log name', 'log', { ...bare, log: 'other.example/log' }],
    ['an entry of another log', 'log', receiptOf(encodeEntry({ ...entry, log: 'other.example/log' }))],
    [
      'another entry',
      'inclusion',
      { ...bare, entry: toBase64(encodeEntry({ ...entry, time: '2026-03-10T12:35:00Z' })) },
    ],
    ['bytes that are no entry', 'entry', receiptOf(utf8('{}'))],
    ['an entry that is not base64', 'entry', { ...bare, entry: `${bare.entry}\n` }],
    ['another index', 'inclusion', { ...bare, index: 4 }],
    ['an index beyond the tree', 'inclusion', { ...bare, index: 9 }],
    ['a proof hash less', 'inclusion', { ...bare, proof: bare.proof.slice(1) }],
    ['a proof hash more', 'inclusion', { ...bare, proof: [...bare.proof, bare.proof[0]!] }],
    ['a proof hash that is not base64', 'inclusion', { ...bare, proof: ['?', ...bare.proof.slice(1)] }],
    ['another payload', 'payload', { ...full, payload: toBase64(utf8(jcs({ ...payload, type: 'x/1' }))) }],
    [
      'the payload in another order',
      'payload',
      { ...full, payload: toBase64(utf8('{"type":"order.issued/1","kind":"prescription","data":{"drug":"314076"}}')) },
    ],
    ['a payload that is not UTF-8', 'payload', { ...full, payload: toBase64(Uint8Array.of(0xff)) }],
    ['another salt', 'payload', { ...full, salt: toBase64(new Uint8Array(32)) }],
    ['a short salt', 'payload', { ...full, salt: 'AAAA' }],
    ['a payload without its salt', 'form', { ...bare, payload: full.payload }],
    ['a salt without its payload', 'form', { ...bare, salt: full.salt }],
  ])('fails with %s: %s', (_, reason, receipt) => {
    expect(verifyReceipt(receipt, signer.vkey)).toEqual({ ok: false, reason });
  });

  it.each(['null', '[]', '"a"', '{}', '1'])('fails as %s', (text) => {
    expect(verifyReceipt(JSON.parse(text), signer.vkey)).toEqual({ ok: false, reason: 'form' });
  });

  it('fails with any member of another type', () => {
    for (const name of Object.keys(full)) {
      for (const value of [null, 1.5, [1], { a: 1 }, '?']) {
        expect(verifyReceipt({ ...full, [name]: value }, signer.vkey).ok).toBe(false);
      }
    }
  });

  it('fails with any byte of entry, payload, salt or proof changed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('entry', 'payload', 'salt'),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (name, place, flip) => {
          const bytes = fromBase64(full[name]);
          bytes[place % bytes.length]! ^= flip;
          expect(verifyReceipt({ ...full, [name]: toBase64(bytes) }, signer.vkey).ok).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('needs a verifier key', () => {
    expect(() => verifyReceipt(bare, 'nonsense')).toThrow(NoteError);
  });
});
