import { describe, expect, it } from 'vitest';
import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../bytes.js';
import { formatCheckpoint } from '../tlog/checkpoint.js';
import { commit, membersOf, parsePayload, payloadText } from './commitment.js';
import { disclose, verifyDisclosure } from './disclosure.js';
import { decodeEntry, encodeEntry, entryTime, ZERO32 } from './entry.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import { GrowingTree } from '../tlog/merkle.js';
import { ed25519Signer, signNote } from '../tlog/note.js';
import { verifyReceipt, type Receipt } from './receipt.js';
import { readFixture, readFixtureText } from '../../../../test/fixtures/rfc6962/vectors.js';

/**
 * Formats that the first release fixes for ever. The files in test/fixtures/golden were written once. A failing test
 * here means that receipts already handed out would no longer verify. Never change the files.
 */
const log = 'rxledger.example/golden';
const signer = ed25519Signer(log, fromHex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'));
const salt = fromHex('a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf');
const payload = {
  actor: {
    id: '3b0f7f0a-5f0c-4a57-9a2b-0d6f3a1c2b4d',
    role: 'pharmacist',
    org: '8d2f6c1e-7a9b-4c3d-8e5f-112233445566',
  },
  data: {
    '10': 'integer-like names sort as text',
    '9': 'after the ten',
    quantity: { value: '30', unit: '{tablet}' },
    note: 'Grüße, 日本 😀 "\\\u0007',
    daysSupply: 30,
    ratio: 1e-7,
    partial: false,
    lot: null,
  },
  derived: { ruleSet: 'us-federal', ruleSetVersion: '1' },
  kind: 'prescription',
  occurredAt: '2026-03-10T12:34:56.789Z',
  recordedAt: '2026-03-10T12:35:00.001Z',
  type: 'example.recorded/1',
};

const text = payloadText(membersOf(payload));
const { commitment, digests } = commit(nobleHasher, salt, payload);
const chain = 'f47ac10b-58cc-4372-a567-0e02b2c3d479';
const time = entryTime(Date.parse(payload.recordedAt));
const first = encodeEntry({ chain, commitment: nobleHasher.leaf(utf8('before')), log, prev: ZERO32, seq: 0, time });
const entry = encodeEntry({ chain, commitment, log, prev: nobleHasher.leaf(first), seq: 1, time });

const vkey = readFixtureText('golden/vkey.txt');

function receipt(): Receipt {
  const tree = new GrowingTree(nobleHasher);
  for (const bytes of [first, entry, utf8('after')]) tree.append(nobleHasher.leaf(bytes));
  return {
    v: 1,
    log,
    index: 1,
    entry: toBase64(entry),
    proof: tree.inclusion(1).map(toBase64),
    checkpoint: signNote(formatCheckpoint({ origin: log, size: 3, root: tree.root() }), [signer]),
    payload: toBase64(utf8(text)),
    salt: toBase64(salt),
  };
}

describe('golden files', () => {
  it('entry', () => {
    expect(toHex(entry)).toBe(toHex(utf8(readFixtureText('golden/entry.jcs'))));
    expect(toHex(encodeEntry(decodeEntry(entry)))).toBe(toHex(entry));
  });

  it('payload', () => {
    expect(text).toBe(readFixtureText('golden/payload.jcs'));
    expect(parsePayload(readFixtureText('golden/payload.jcs'))).toEqual(payload);
  });

  it('commitment and member digests', () => {
    const made = { commitment: toBase64(commitment), digests, salt: toBase64(salt) };
    expect(jcs(made)).toBe(readFixtureText('golden/commitment.jcs'));
    expect(decodeEntry(entry).commitment).toEqual(fromBase64(made.commitment));
  });

  it('receipt', () => {
    expect(jcs(receipt())).toBe(readFixtureText('golden/receipt.jcs'));
    const kept = readFixture<Receipt>('golden/receipt.jcs');
    expect(verifyReceipt(kept, vkey)).toMatchObject({ ok: true, index: 1, size: 3, payload });
  });

  it('disclosure', () => {
    expect(jcs(disclose(nobleHasher, receipt(), ['type', 'occurredAt']))).toBe(
      jcs({ disclosure: readFixture('golden/disclosure.jcs') }),
    );
    expect(verifyDisclosure(readFixture('golden/disclosure.jcs'), vkey)).toMatchObject({
      ok: true,
      index: 1,
      size: 3,
      disclosed: { occurredAt: payload.occurredAt, type: payload.type },
      withheld: ['actor', 'data', 'derived', 'kind', 'recordedAt'],
    });
  });
});
