import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../bytes.js';
import { formatCheckpoint } from '../tlog/checkpoint.js';
import { commit, parsePayload } from '../record/commitment.js';
import { encodeEntry, entryTime, LOG_CHAIN, ZERO32 } from '../record/entry.js';
import { nobleHasher } from '../hasher.js';
import { jcs } from '../jcs.js';
import {
  type Continuation,
  ContinuationError,
  formatContinuation,
  LOG_CONTINUED,
  openContinuation,
  openContinuationReceipt,
} from './continuation.js';
import { GrowingTree } from '../tlog/merkle.js';
import { ed25519Signer, type NoteSigner, parseVerifierKey, signNote } from '../tlog/note.js';
import { logOnly, nameInLog } from '../tlog/policy.js';
import { examples } from '../../../../test/support/length.js';

const [A, B] = ['log.example/a', 'log.example/b'];
const signer = (seed: number, name: string) => ed25519Signer(name, new Uint8Array(32).fill(seed));
const [OLD, NEW, OTHER] = [signer(1, A), signer(2, B), signer(3, A)];
const LEFT = 5;
const leaves = (many: number) => {
  const growing = new GrowingTree(nobleHasher);
  for (let n = 0; n < many; n++) growing.append(nobleHasher.leaf(Uint8Array.of(n)));
  return growing;
};
const signed = (size: number, by: NoteSigner, origin = A) =>
  signNote(formatCheckpoint({ origin, size, root: leaves(size).root() }), [by]);

const remembered = (size: number) => ({ origin: A, size, root: leaves(size).root() });
const good: Continuation = {
  from: OLD.vkey,
  to: NEW.vkey,
  oldOrigin: A,
  origin: B,
  size: LEFT,
  root: leaves(LEFT).root(),
  remembered: remembered(9),
  bothSigned: true,
};

function said(over: Partial<Continuation> = {}, signers: readonly NoteSigner[] = [NEW, OLD], more: object = {}) {
  const stated = { ...good, ...over };
  const { from, to } = stated;
  const note = signed(stated.remembered.size, OLD);
  return { from, to, remembered: note, statement: signNote(formatContinuation(stated), signers), ...more };
}

function receipt(
  data: object,
  {
    by,
    log = B,
    left = LEFT,
    type = LOG_CONTINUED,
  }: { by?: NoteSigner; log?: string; left?: number; type?: string } = {},
) {
  const [derived, instant] = [{}, '2026-01-01T00:00:00.000Z'];
  const actor = { id: 'system', org: null, role: 'system' };
  const text = jcs({ actor, data, derived, kind: 'log', occurredAt: instant, recordedAt: instant, type });
  const salt = new Uint8Array(32).fill(9);
  const { commitment } = commit(nobleHasher, salt, parsePayload(text));
  const time = entryTime(Date.parse(instant));
  const entry = encodeEntry({ chain: LOG_CHAIN, commitment, log, prev: ZERO32, seq: 0, time });
  const grown = leaves(left);
  const index = grown.append(nobleHasher.leaf(entry));
  return {
    v: 1 as const,
    log,
    index,
    entry: toBase64(entry),
    proof: grown.inclusion(index).map((hash) => toBase64(hash)),
    checkpoint: signNote(formatCheckpoint({ origin: log, size: grown.size, root: grown.root() }), [by ?? NEW]),
    payload: toBase64(new TextEncoder().encode(text)),
    salt: toBase64(salt),
  };
}

describe('a log that goes on under another name', () => {
  it('says what it continues, signed by the new key, and by the old one where it is had', () => {
    expect(openContinuation(said())).toEqual(good);
    expect(openContinuation(said({}, [NEW]))).toEqual({ ...good, bothSigned: false });
    expect(openContinuationReceipt(receipt(said()))).toEqual(good);
    // The log had another key by then; that replacement was among the lost entries.
    const later = { remembered: signed(9, OTHER), rememberedBy: OTHER.vkey };
    expect(openContinuation(said({}, undefined, later))).toEqual(good);
  });

  it.each<[string, unknown, string]>([
    ['nothing', null, 'is not there'],
    ['no statement', { ...said(), statement: undefined }, 'is not there'],
    ['a statement by the old key alone', said({}, [OLD]), 'the new key has not signed'],
    ['a statement by a stranger', said({}, [signer(4, B)]), 'no known key has signed'],
    ['a checkpoint by another key than the old one', said({}, undefined, { remembered: signed(9, OTHER) }), 'signed'],
    [
      'a checkpoint of another log',
      said({}, undefined, { remembered: signed(9, NEW, B), rememberedBy: NEW.vkey }),
      'of another log',
    ],
    ['another checkpoint than it states', said({}, undefined, { remembered: signed(8, OLD) }), 'not a statement of'],
    ['no more entries than are left', said({ remembered: remembered(LEFT) }), 'nothing was lost'],
    ['fewer entries than are left', said({ remembered: remembered(LEFT - 1) }), 'nothing was lost'],
    ['another old key than it states', { ...said(), from: OTHER.vkey }, 'signed'],
    ['another new key than it states', { ...said(), to: signer(5, B).vkey }, 'signed'],
    ['the previous name', said({ to: OTHER.vkey, origin: A }, [OTHER, OLD]), 'both logs have one name'],
    ['a size that is none', said({ size: Number.NaN }), 'it states no tree'],
    ['a root that is none', said({ root: new Uint8Array(31) }), 'it states no tree'],
    [
      'a line more',
      { ...said(), statement: signNote(`${formatContinuation(good)}more\n`, [NEW]) },
      'not a statement of',
    ],
    ['a key that is none', { ...said(), to: 'w+00000000+BAAA' }, 'public key'],
  ])('is not taken with %s', (_, data, message) => {
    expect(() => openContinuation(data)).toThrow(ContinuationError);
    expect(() => openContinuation(data)).toThrow(message);
  });

  it.each<[string, unknown, string]>([
    ['no payload', { ...receipt(said()), payload: undefined }, 'not a receipt with payload'],
    ['the signature of another key', receipt(said(), { by: signer(6, B) }), 'does not hold (checkpoint)'],
    ['the previous name in its entry', receipt(said(), { log: A, by: signer(2, A) }), 'does not hold'],
    ['another type', receipt(said(), { type: 'log-key.rotated/1' }), 'not an event of a log that goes on'],
    ['another place', receipt(said(), { left: LEFT + 1 }), 'not the one behind it'],
    ['another tree', receipt(said({ root: leaves(4).root() })), 'stated of another tree'],
  ])('is not shown by a receipt with %s', (_, document, message) => {
    expect(() => openContinuationReceipt(document)).toThrow(ContinuationError);
    expect(() => openContinuationReceipt(document)).toThrow(message);
  });

  it('is not shown by a receipt in which any character is another', () => {
    const text = JSON.stringify(receipt(said()));
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.constantFrom('A', 'b', '0', '+'), (at, character) => {
        fc.pre(text[at] !== character);
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        let document: unknown;
        try {
          document = JSON.parse(changed);
        } catch {
          return;
        }
        // Unknown members of a receipt have no effect.
        let opened: Continuation | null = null;
        try {
          opened = openContinuationReceipt(document);
        } catch (error) {
          expect(error).toBeInstanceOf(ContinuationError);
        }
        // A damaged signature by the old key counts as one by an unknown key: then the old key has not signed.
        if (opened) expect({ ...opened, bothSigned: true }).toEqual(good);
      }),
      { numRuns: examples(500) },
    );
  });
});

describe('the name in an entry', () => {
  const names = [
    { oldOrigin: 'a', origin: 'b', size: 5 },
    { oldOrigin: 'b', origin: 'c', size: 9 },
  ];
  it.each([
    ['c', 0, 'a'],
    ['c', 4, 'a'],
    ['c', 5, 'b'],
    ['c', 8, 'b'],
    ['c', 9, 'c'],
    ['b', 4, 'a'],
    ['b', 5, 'b'],
    ['b', 100, 'b'],
    ['a', 0, 'a'],
    ['other', 0, 'other'],
  ])('in %s at %i is %s', (origin, index, name) => {
    for (const continued of [names, names.toReversed()]) expect(nameInLog({ continued }, origin, index)).toBe(name);
  });

  it('is found in no more steps than there are names, whatever is claimed', () => {
    const circle = [
      { oldOrigin: 'b', origin: 'a', size: 9 },
      { oldOrigin: 'a', origin: 'b', size: 9 },
    ];
    expect(['a', 'b']).toContain(nameInLog({ continued: circle }, 'a', 0));
    expect(nameInLog(logOnly(parseVerifierKey(NEW.vkey)), B, 0)).toBe(B);
  });
});
