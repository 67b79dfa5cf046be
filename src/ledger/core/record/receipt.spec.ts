import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64, toBase64, utf8 } from '../bytes.js';
import { CheckpointError, formatCheckpoint } from '../tlog/checkpoint.js';
import { commit } from './commitment.js';
import { encodeEntry, type Entry, ZERO32 } from './entry.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import { GrowingTree } from '../tlog/merkle.js';
import { appendSignature, ed25519Signer, NoteError, signNote } from '../tlog/note.js';
import { parsePolicy } from '../tlog/policy.js';
import { verifyReceipt, type Receipt } from './receipt.js';
import { someHashes } from '../../../../test/fixtures/rfc6962/vectors.js';
import { cosign, witnessOf } from '../../../../test/fixtures/witnesses.js';
import { examples } from '../../../../test/support/length.js';

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
    const shown = { ok: true, state: 'committed', log, entry, index: 5, size: 9, witnesses: [] };
    expect(verifyReceipt(bare, signer.vkey)).toEqual(shown);
    expect(verifyReceipt(full, signer.vkey)).toEqual({ ...shown, payload });
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
      { numRuns: examples(60) },
    );
  });

  it("needs a log's verifier key", () => {
    expect(() => verifyReceipt(bare, 'nonsense')).toThrow(NoteError);
    expect(() => verifyReceipt(bare, witnessOf(1).vkey)).toThrow(CheckpointError);
  });
});

describe('receipt under a policy', () => {
  const [w1, w2, w3] = [witnessOf(1), witnessOf(2), witnessOf(3)];
  const other = ed25519Signer('other.example/log', new Uint8Array(32).fill(9));
  const lines = [
    `log ${other.vkey}`,
    `log ${signer.vkey}`,
    ...[w1, w2, w3].map(({ vkey }, at) => `witness w${at + 1} ${vkey}`),
    'group two 2 w1 w2 w3',
  ];
  const policy = (quorum: string, ...kept: string[]) =>
    parsePolicy(utf8(`${[...(kept.length > 0 ? kept : lines), `quorum ${quorum}`].join('\n')}\n`));
  const cosigned = (...by: ReturnType<typeof witnessOf>[]): Receipt => ({
    ...full,
    checkpoint: by.reduce((note, witness, at) => cosign(note, witness, 1_700_000_000n + BigInt(at)), full.checkpoint),
  });

  it('is committed without a quorum to meet, and witnessed with it', () => {
    expect(verifyReceipt(full, policy('none'))).toMatchObject({ ok: true, state: 'committed', witnesses: [] });
    expect(verifyReceipt(cosigned(w1), policy('none'))).toMatchObject({
      ok: true,
      state: 'committed',
      witnesses: [{ name: 'w1', time: 1_700_000_000n }],
    });
    expect(verifyReceipt(cosigned(w3, w1), policy('two'))).toMatchObject({
      ok: true,
      state: 'witnessed',
      payload,
      witnesses: [
        { name: 'w1', time: 1_700_000_001n },
        { name: 'w3', time: 1_700_000_000n },
      ],
    });
  });

  const spoilt = cosigned(w1, w2).checkpoint.replace(/.(.{10})\n$/u, (_, rest: string) => `A${rest}\n`);
  it.each<[string, string, Receipt, ReturnType<typeof policy>]>([
    ['no cosignature', 'quorum', full, policy('two')],
    ['one of two', 'quorum', cosigned(w2), policy('two')],
    ['one of two, twice', 'quorum', cosigned(w2, w2), policy('two')],
    ['another witness than the one', 'quorum', cosigned(w2, w3), policy('w1')],
    ['a witness whom the policy does not know', 'quorum', cosigned(w1, witnessOf(4)), policy('two')],
    ['a cosignature that does not hold', 'checkpoint', { ...full, checkpoint: spoilt }, policy('two')],
    ['a log that the policy does not name', 'log', cosigned(w1, w2), policy('w1', `log ${other.vkey}`, lines[2]!)],
    ['a policy that names no log', 'log', cosigned(w1, w2), policy('w1', lines[2]!)],
    [
      'another payload, and too few witnesses',
      'payload',
      { ...full, salt: toBase64(new Uint8Array(32)) },
      policy('two'),
    ],
    [
      'the signature of another log of the policy',
      'checkpoint',
      receiptOf(encodeEntry(entry), other, log),
      policy('none'),
    ],
    ['witnesses alone', 'checkpoint', { ...full, checkpoint: withoutLog(cosigned(w1, w2).checkpoint) }, policy('two')],
  ])('fails with %s: %s', (_, reason, receipt, trust) => {
    expect(verifyReceipt(receipt, trust)).toEqual({ ok: false, reason });
  });

  it('takes the signatures of two keys of the log', () => {
    const next = ed25519Signer(log, new Uint8Array(32).fill(7));
    const text = full.checkpoint.slice(0, full.checkpoint.indexOf('\n\n') + 1);
    const both = { ...full, checkpoint: appendSignature(full.checkpoint, next, next.sign(utf8(text))) };
    for (const trust of [signer.vkey, next.vkey, policy('none', `log ${signer.vkey}`, `log ${next.vkey}`)]) {
      expect(verifyReceipt(both, trust)).toMatchObject({ ok: true, state: 'committed' });
    }
  });
});

function withoutLog(note: string): string {
  return note.replace(/\n\n.*\n/u, '\n\n');
}
